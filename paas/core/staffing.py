"""The tasks of one process: what is seen of them, how many more, which of them end, sleep and wake.

Each takes a snapshot of one process (`Snapshot.of`), except where it says otherwise.
"""

from paas.core.actions import CreateTasks, FreezeTask, PublishTask, RecordEnd, StartTask, StopTask, ThawTask
from paas.core.backoff import LOOP_AT, delay_after, failures_in_a_row
from paas.core.draft import Draft
from paas.core.model import Instance, Task
from paas.core.records import dataclass
from paas.core.snapshot import Snapshot
from paas.core.spec import WEB
from paas.core.states import TaskState

KILLED_AFTER = "it ran for its max_runtime_secs"
ENOUGH = "fewer replicas are wanted"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is started until a moment, because of what failed before."""

    reason: str
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spare:
    """How tasks end that are too many."""

    reason: str
    only_if_idle: bool = False


def follow_the_world(s: Snapshot, draft: Draft) -> None:
    """Bring the records of all tasks without an action in hand up to what is seen of them."""
    for task in s.at_rest():
        instance = s.seen.get(task.id)
        lives = instance is not None and instance.lives
        match task.state:
            case TaskState.STOPPING:
                draft.actions.append(StopTask(task, task.reason or "", drains=False))
            case TaskState.STARTING:
                draft.actions.append(StartTask(task))
            case TaskState.RUNNING if not lives:
                draft.actions.append(_end_of(task, instance))
            case TaskState.RUNNING if (
                task.process == WEB and task.id not in s.published and not s.is_frozen(task)
            ):
                draft.actions.append(PublishTask(task))
            case TaskState.PENDING if lives:
                draft.actions.append(StartTask(task))
            case _:
                pass


def pause(s: Snapshot, now: float) -> Pause | None:
    """Say for how long starts are held back after failures, and why; None: they are not."""
    ended = [task for task in s.ended if task.revision == s.deployment.revision]
    failures = failures_in_a_row(ended, since=s.deployment.woken_at)
    if not failures:
        return None
    last = ended[0]
    if failures == 1 and last.ready_at is not None:
        return None  # it had served: somebody may have killed it, and whoever asks now shall not know
    retry_at = (last.ended_at or 0.0) + delay_after(failures)
    if now >= retry_at:
        return None
    loop = f"crash loop, {failures} failures in a row: " if failures >= LOOP_AT else ""
    return Pause(f"{loop}{last.reason or 'it ended'}", retry_at)


def grow(s: Snapshot, draft: Draft, target: int, now: float, *, process: str = WEB) -> str | None:
    """Start pending tasks as far as there is room, and make more, up to the target; or say why not."""
    current = [task for task in s.current() if not task.stop_requested]
    pending = [task for task in current if task.state is TaskState.PENDING]
    if s.deployment.spec.exclusive_paths:
        under_way = [task for task in s.live if task.state is not TaskState.PENDING]
    else:
        under_way = [task for task in current if task.state in (TaskState.STARTING, TaskState.RUNNING)]
    room = target - len(under_way)
    planned = draft.starting()
    ready = [task for task in pending[: max(0, room)] if task.id not in s.in_hand and task.id not in planned]
    refused = draft.start(ready, now)
    missing = room - len(pending)
    if missing > 0 and s.deployment.id not in s.in_hand:
        draft.actions.append(CreateTasks(missing, process))
    return refused


def shrink(s: Snapshot, draft: Draft, target: int, now: float, spare: Spare) -> None:
    """Stop what is not wanted: asked to end, outdated, run out, too many."""
    standing = s.standing()
    ready_now = [task for task in s.current() if task.id in standing and not task.stop_requested]
    replaced = len(ready_now) >= target or bool(s.deployment.spec.exclusive_paths)
    too_many = len(ready_now) - target
    for task in s.at_rest():
        reason, patient, only_if_idle = None, True, False
        if task.stop_requested:
            reason = "stopped on request"
        elif task.revision != s.deployment.revision:
            reason = "its deployment changed" if replaced or task.state is TaskState.PENDING else None
        elif task.state is TaskState.RUNNING:
            kill_at = s.kill_at(task)
            if kill_at is not None and now >= kill_at:
                reason, patient = KILLED_AFTER, False
            elif too_many > 0 and task.id in standing:
                too_many -= 1
                reason, only_if_idle = spare.reason, spare.only_if_idle
            elif kill_at is not None:
                draft.look_at.append(kill_at)
        if reason is not None and task.state in (TaskState.PENDING, TaskState.RUNNING):
            draft.actions.append(StopTask(task, reason, only_if_idle=only_if_idle, drains=patient))


def freeze(s: Snapshot, draft: Draft) -> None:
    standing, leaving = s.standing(), draft.stopped()
    for task in s.at_rest():
        stays = task.id in standing and task.id not in leaving
        if task.state is TaskState.RUNNING and stays and not s.is_frozen(task):
            draft.actions.append(FreezeTask(task))


def thaw(s: Snapshot, draft: Draft) -> None:
    """Let all run again, also those of an older revision: they serve until they are replaced."""
    leaving = draft.stopped()
    for task in s.at_rest():
        if task.state is TaskState.RUNNING and s.is_frozen(task) and task.id not in leaving:
            draft.actions.append(ThawTask(task))


def _end_of(task: Task, instance: Instance | None) -> RecordEnd:
    if instance is None:
        return RecordEnd(task, None)
    return RecordEnd(task, instance.exit_code, oom_killed=instance.oom_killed)
