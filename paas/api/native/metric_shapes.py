"""Counts and measurements to the native API's answers. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable

from paas.api.native import metric_answers as answers
from paas.api.native import shapes
from paas.api.native.answers import Wakes
from paas.api.native.sightings import Seen
from paas.core import model
from paas.core.live import Counted, Measured, TaskCounted, Traffic, Usage
from paas.store.overview import AppTitle


def task(record: model.Task, counted: TaskCounted | None, usage: Usage | None) -> answers.TaskMetrics:
    return answers.TaskMetrics(
        task_id=record.id,
        deployment_id=record.deployment_id,
        process=record.process,
        state=record.state.value,
        in_flight=counted.in_flight if counted is not None else 0,
        traffic=_traffic([counted.traffic]) if counted is not None else None,
        usage=_usage([usage], cpu_secs=usage.cpu_secs) if usage is not None else None,
    )


def deployment(
    record: model.Deployment, seen: Seen, tasks: Collection[model.Task]
) -> answers.DeploymentMetrics:
    counted = [] if seen.counted is None else [seen.counted]
    of_tasks = {} if seen.counted is None else seen.counted.tasks
    return answers.DeploymentMetrics(
        deployment_id=record.id,
        app_id=record.app_id,
        version=record.version,
        environment=record.environment,
        in_flight=sum(each.demand.in_flight for each in counted),
        waiting=sum(each.demand.waiting for each in counted),
        restarts=sum(each.crashed for each in tasks),
        traffic=_traffic([each.traffic for each in counted]),
        usage=_usage(seen.usage.values(), cpu_secs=seen.cpu_secs),
        wakes=_last_wakes(counted),
        tasks=[
            task(each, of_tasks.get(each.id), seen.usage.get(each.id))
            for each in tasks
            if each.ended_at is None
        ],
    )


def app(title: AppTitle, seen: Collection[Seen], measured: Measured) -> answers.AppMetrics:
    """Sum up an app's deployments."""
    counted = [each.counted for each in seen if each.counted is not None]
    now = [usage for each in seen for usage in each.usage.values()]
    usage = _usage(now, cpu_secs=sum(each.cpu_secs for each in seen))
    usage.memory_peak_bytes = max(usage.memory_peak_bytes, measured.memory_peak_bytes)
    usage.oom_kills += measured.oom_kills
    return answers.AppMetrics(
        app_id=title.id,
        namespace=title.namespace,
        name=title.name,
        tasks=sum(len(each.tasks) for each in seen),
        in_flight=sum(each.demand.in_flight for each in counted),
        waiting=sum(each.demand.waiting for each in counted),
        restarts=measured.crashes,
        traffic=_traffic([each.traffic for each in counted]),
        usage=usage,
        wakes=_last_wakes(counted),
    )


def _last_wakes(counted: Iterable[Counted]) -> Wakes | None:
    woken = [each for each in counted if each.wakes is not None]
    last = max(woken, key=lambda each: each.demand.last_used, default=None)
    return None if last is None else shapes.wakes(last.wakes)


def _traffic(parts: Collection[Traffic]) -> answers.Traffic:
    classes: Counter[str] = Counter()
    for each in parts:
        classes.update(each.answers)
    return answers.Traffic(
        requests=sum(each.requests for each in parts),
        answers=dict(sorted(classes.items())),
        bytes_in=sum(each.bytes_in for each in parts),
        bytes_out=sum(each.bytes_out for each in parts),
    )


def _usage(seen: Iterable[Usage], *, cpu_secs: float) -> answers.Usage:
    total = answers.Usage(cpu_secs=round(cpu_secs, 3), memory_bytes=0, memory_peak_bytes=0, oom_kills=0)
    for each in seen:
        total.memory_bytes += each.memory_bytes
        total.memory_peak_bytes = max(total.memory_peak_bytes, each.memory_peak_bytes)
        total.oom_kills += each.oom_kills
    return total
