"""Counts and measurements to the native API's answers. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from paas.api.native import metric_answers as answers
from paas.api.native import shapes
from paas.core import model
from paas.core.ids import TaskId
from paas.store.overview import AppTitle

NEVER_MEASURED = model.Measured(memory_peak_bytes=0, crashes=0, oom_kills=0)


def task(
    record: model.Task, counted: model.TaskCounted | None, usage: model.Usage | None
) -> answers.TaskMetrics:
    return answers.TaskMetrics(
        task_id=record.id,
        deployment_id=record.deployment_id,
        state=record.state.value,
        in_flight=counted.in_flight if counted is not None else 0,
        traffic=_traffic([counted.traffic]) if counted is not None else None,
        usage=_usage([usage], ended_cpu_secs=0.0) if usage is not None else None,
    )


def deployment(
    record: model.Deployment,
    counted: model.Counted | None,
    tasks: Collection[model.Task],
    usage: Mapping[TaskId, model.Usage],
) -> answers.DeploymentMetrics:
    found = [] if counted is None else [counted]
    of_tasks = counted.tasks if counted is not None else {}
    return answers.DeploymentMetrics(
        deployment_id=record.id,
        app_id=record.app_id,
        version=record.version,
        environment=record.environment,
        in_flight=sum(each.demand.in_flight for each in found),
        waiting=sum(each.demand.waiting for each in found),
        restarts=sum(each.crashed for each in tasks),
        traffic=_traffic([each.traffic for each in found]),
        usage=_usage(usage.values(), ended_cpu_secs=sum(each.ended_cpu_secs for each in found)),
        wakes=shapes.wakes(counted.wakes) if counted is not None else None,
        tasks=[
            task(each, of_tasks.get(each.id), usage.get(each.id)) for each in tasks if each.ended_at is None
        ],
    )


def app(
    title: AppTitle,
    counted: Collection[model.Counted],
    usage: Mapping[TaskId, model.Usage],
    measured: model.Measured,
) -> answers.AppMetrics:
    """Sum up an app's deployments; `usage` may hold tasks of other apps, too."""
    running = [task_id for each in counted for task_id in each.tasks]
    seen = [usage[task_id] for task_id in running if task_id in usage]
    now = _usage(seen, ended_cpu_secs=sum(each.ended_cpu_secs for each in counted))
    now.memory_peak_bytes = max(measured.memory_peak_bytes, *(each.memory_peak_bytes for each in seen), 0)
    now.oom_kills += measured.oom_kills
    woken = [each for each in counted if each.wakes is not None]
    last = max(woken, key=lambda each: each.demand.last_used, default=None)
    return answers.AppMetrics(
        app_id=title.id,
        namespace=title.namespace,
        name=title.name,
        tasks=len(running),
        in_flight=sum(each.demand.in_flight for each in counted),
        waiting=sum(each.demand.waiting for each in counted),
        restarts=measured.crashes,
        traffic=_traffic([each.traffic for each in counted]),
        usage=now,
        wakes=shapes.wakes(last.wakes) if last is not None else None,
    )


def _traffic(parts: Collection[model.Traffic]) -> answers.Traffic:
    classes: Counter[str] = Counter()
    for each in parts:
        classes.update(each.answers)
    return answers.Traffic(
        requests=sum(each.requests for each in parts),
        answers=dict(sorted(classes.items())),
        bytes_in=sum(each.bytes_in for each in parts),
        bytes_out=sum(each.bytes_out for each in parts),
    )


def _usage(seen: Iterable[model.Usage], *, ended_cpu_secs: float) -> answers.Usage:
    total = answers.Usage(cpu_secs=ended_cpu_secs, memory_bytes=0, memory_peak_bytes=0, oom_kills=0)
    for each in seen:
        total.cpu_secs += each.cpu_secs
        total.memory_bytes += each.memory_bytes
        total.memory_peak_bytes = max(total.memory_peak_bytes, each.memory_peak_bytes)
        total.oom_kills += each.oom_kills
    total.cpu_secs = round(total.cpu_secs, 3)
    return total
