"""What deployments do and use just now, put together from counts, rows and measurements."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from paas.api.kit.parts import ApiParts
from paas.api.kit.slices import gently
from paas.core.ids import AppId, DeploymentId, TaskId
from paas.core.live import Counted, Usage
from paas.core.model import Task
from paas.core.records import dataclass
from paas.store import tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One deployment."""

    id: DeploymentId
    app_id: AppId
    counted: Counted | None  # None: requests do not reach it
    tasks: frozenset[TaskId]  # started and not ended, frozen ones included
    usage: Mapping[TaskId, Usage]  # of those that can be measured
    cpu_secs: float  # since the agent started, ended tasks included; of running ones from their start


async def of_apps(parts: ApiParts, app_id: AppId | None = None) -> list[Seen]:
    """Look at all deployments that did anything since the agent started, or at those of one app."""
    active = gently(parts.counts.active(app_id))
    ended = {each: parts.counts.ended_cpu_secs(each) async for each in active}
    tasks_of: defaultdict[DeploymentId, set[TaskId]] = defaultdict(set)
    apps: dict[DeploymentId, AppId] = {}
    for started in await tasks.started(parts.reader, app_id):
        tasks_of[started.deployment_id].add(started.task_id)
        apps[started.deployment_id] = started.app_id
    found: dict[DeploymentId, Counted] = {}
    async for deployment_id in gently([*parts.counts.active(app_id), *apps]):
        counted = parts.counts.counted(deployment_id)
        if counted is not None:
            found[deployment_id] = counted
            tasks_of[deployment_id].update(counted.tasks)  # a wake is recorded a moment later
            apps[deployment_id] = counted.app_id
    running = await parts.usage.measure([task_id for some in tasks_of.values() for task_id in some])
    used = _Used(ended, running)
    return [
        _seen(parts, deployment_id, of, found.get(deployment_id), tasks_of[deployment_id], used)
        async for deployment_id, of in gently(apps.items())
    ]


async def of_deployment(
    parts: ApiParts, deployment_id: DeploymentId, app_id: AppId
) -> tuple[Seen, Sequence[Task]]:
    """Look at one deployment, and give all its tasks."""
    ended = {deployment_id: parts.counts.ended_cpu_secs(deployment_id)}
    known = await tasks.of_deployment(parts.reader, deployment_id)
    live = [task.id for task in known if task.ended_at is None]
    used = _Used(ended, await parts.usage.measure(live))
    return _seen(parts, deployment_id, app_id, parts.counts.counted(deployment_id), live, used), known


@dataclass(frozen=True, slots=True)
class _Used:
    """What was used by deployments, in the order in which it has to be asked."""

    ended: Mapping[DeploymentId, float]  # processor seconds of tasks that had ended
    running: Mapping[TaskId, Usage]


def _seen(
    parts: ApiParts,
    deployment_id: DeploymentId,
    app_id: AppId,
    counted: Counted | None,
    task_ids: Collection[TaskId],
    used: _Used,
) -> Seen:
    own = {task_id: used.running[task_id] for task_id in task_ids if task_id in used.running}
    ended, running = used.ended.get(deployment_id, 0.0), sum(each.cpu_secs for each in own.values())
    return Seen(
        id=deployment_id,
        app_id=app_id,
        counted=counted,
        tasks=frozenset(task_ids),
        usage=own,
        cpu_secs=parts.counts.cpu_secs(deployment_id, ended=ended, running=running),
    )
