"""What runs beside web: workers, which follow their deployment or stay, and nobody's tasks."""

from paas.core import staffing
from paas.core.actions import StopTask
from paas.core.draft import Draft
from paas.core.idleness import Level
from paas.core.model import Deployment, Task
from paas.core.processes import Worker, workers_of
from paas.core.room import REFUSED_SECS
from paas.core.snapshot import Snapshot
from paas.core.spec import WEB
from paas.core.staffing import Spare
from paas.core.states import DeploymentState, TaskState

UNDER_WAY = (TaskState.STARTING, TaskState.RUNNING)


def are_up(s: Snapshot) -> bool:
    """Say whether all run that a new deployment has before it takes over."""
    return all(
        sum(task.state is TaskState.RUNNING for task in s.of(worker.name).current()) >= _at_first(s, worker)
        for worker in workers_of(s.deployment)
    )


def begin(s: Snapshot, draft: Draft, now: float) -> str | None:
    """Start those of a new deployment; or say why there is no room for them."""
    refused = None
    for worker in workers_of(s.deployment):
        target = _at_first(s, worker)
        refused = staffing.grow(s.of(worker.name), draft, target, now, process=worker.name) or refused
    return refused


def serve(s: Snapshot, level: Level, draft: Draft, now: float) -> None:
    """Decide about those of a deployment that serves, or may, at a level that its web has."""
    workers = workers_of(s.deployment)
    for worker in workers:
        _tend(s, worker, level, draft, now)
    _end_strays(s, {WEB, *(worker.name for worker in workers)}, draft)


def stays_awake(deployment: Deployment, task: Task) -> bool:
    """Say whether a task goes on while its deployment sleeps."""
    if task.process == WEB:
        return False
    process = deployment.spec.processes.get(task.process)
    return process is not None and not process.sleeps and deployment.state is DeploymentState.ACTIVE


def _at_first(s: Snapshot, worker: Worker) -> int:
    """Say how many it takes to take over: of a deployment born asleep, those that never sleep."""
    spec = s.deployment.spec
    is_born_asleep = spec.cold_start_enabled and not spec.replicas
    return 0 if worker.sleeps and is_born_asleep else worker.replicas


def _tend(s: Snapshot, worker: Worker, level: Level, draft: Draft, now: float) -> None:
    """Two versions never work side by side longer than one takes over from the other."""
    own = s.of(worker.name)
    if not worker.sleeps:
        level = Level.AWAKE
    is_current = s.deployment.state is DeploymentState.ACTIVE
    if not is_current or (level is Level.ASLEEP and not _web_is_there(s)):
        reason = "its deployment sleeps" if is_current else "a newer version took over"
        _shrink(own, draft, 0, now, Spare(reason=reason))
        return
    if level is Level.AWAKE and not (worker.sleeps and s.demand.waiting):  # requests come first
        _grow(own, worker, draft, now)
        staffing.thaw(own, draft)
    _shrink(own, draft, worker.replicas, now, Spare(reason=staffing.ENOUGH))
    if level is Level.FROZEN and not s.published:
        staffing.freeze(own, draft)


def _grow(own: Snapshot, worker: Worker, draft: Draft, now: float) -> None:
    pause = staffing.pause(own, now)
    if pause is not None:
        draft.look_at.append(pause.until)
    elif staffing.grow(own, draft, worker.replicas, now, process=worker.name) is not None:
        draft.look_at.append(now + REFUSED_SECS)


def _shrink(own: Snapshot, draft: Draft, target: int, now: float, spare: Spare) -> None:
    """Stop what is not wanted. Nothing waits ahead for a start: nobody waits for a worker."""
    staffing.shrink(own, draft, target, now, spare)
    leaving = draft.stopped()
    under_way = sum(task.state in UNDER_WAY for task in own.current())
    pending = [task for task in own.current() if task.state is TaskState.PENDING]
    for task in pending[max(0, target - under_way) :]:
        if task.id not in own.in_hand and task.id not in leaving:
            draft.actions.append(StopTask(task, spare.reason))


def _web_is_there(s: Snapshot) -> bool:
    """Say whether requests may still be open: workers outlive them."""
    return any(task.process == WEB and task.state is not TaskState.PENDING for task in s.live)


def _end_strays(s: Snapshot, known: set[str], draft: Draft) -> None:
    for task in s.at_rest():
        if task.process not in known and task.state in (TaskState.PENDING, TaskState.RUNNING):
            draft.actions.append(StopTask(task, "its process is wanted no more"))
