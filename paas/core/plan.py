"""plan(): what to do next about one deployment. Pure; the only place that decides.

It looks at what is true now, never at what happened, so it may be asked at any time and
any number of times. What it returns is done by the executor, one action per task at a time.
"""

from dataclasses import dataclass, field

from paas.core import volumes
from paas.core.actions import (
    AbortStart,
    Action,
    Activate,
    Build,
    CreateTasks,
    EndDeployment,
    Evict,
    FreezeTask,
    PublishTask,
    RecordEnd,
    StartTask,
    StopTask,
    ThawTask,
)
from paas.core.backoff import LOOP_AT, delay_after, failures_in_a_row
from paas.core.idleness import Level, wanted
from paas.core.ids import TaskId
from paas.core.live import Refusal
from paas.core.model import Deployment, Instance, Task
from paas.core.room import REFUSED_SECS, WAIT_SECS, admit
from paas.core.snapshot import Snapshot
from paas.core.states import DeploymentState, TaskState

IDLE, EVICTED = "idle", "idle, and others need its memory"
KILLED_AFTER = "it ran for its max_runtime_secs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do now, how requests that find no task are answered, and when to look again."""

    actions: tuple[Action, ...] = ()
    refusal: Refusal | None = None
    routed: bool = True
    look_again_at: float | None = None
    look_when_idle: bool = False  # also when the last open request ends
    queues: bool = False  # for a start slot


@dataclass(slots=True)
class _Draft:
    actions: list[Action] = field(default_factory=list)
    refusal: Refusal | None = None
    look_at: list[float] = field(default_factory=list)
    look_when_idle: bool = False
    queues: bool = False

    def stopped(self) -> frozenset[TaskId]:
        return frozenset(action.task.id for action in self.actions if isinstance(action, StopTask))

    def done(self, *, routed: bool = True) -> Plan:
        return Plan(
            actions=tuple(self.actions),
            refusal=self.refusal,
            routed=routed,
            look_again_at=min(self.look_at, default=None),
            look_when_idle=self.look_when_idle,
            queues=self.queues,
        )


def plan(s: Snapshot, now: float) -> Plan:
    """Decide what to do about a deployment at the time `now` (epoch seconds)."""
    match s.deployment.state:
        case DeploymentState.QUEUED | DeploymentState.BUILDING:
            return _before_start(s)
        case DeploymentState.STARTING:
            return _starting(s, now)
        case DeploymentState.ACTIVE | DeploymentState.SUPERSEDED:
            return _serving(s, now)
        case DeploymentState.STOPPED | DeploymentState.FAILED | DeploymentState.CANCELLED:
            return _ended(s)


def _before_start(s: Snapshot) -> Plan:
    draft = _Draft()
    if s.newer_is_current:
        draft.actions.append(EndDeployment(DeploymentState.CANCELLED, "a newer version took over"))
    elif s.has_artifact and s.deployment.id not in s.in_hand:
        draft.actions.append(Build())
    return draft.done()


def _starting(s: Snapshot, now: float) -> Plan:
    draft = _Draft()
    if s.newer_is_current:
        draft.actions.append(EndDeployment(DeploymentState.CANCELLED, "a newer version took over"))
        return draft.done()
    failed = next((task for task in s.ended if task.crashed and task.revision == s.deployment.revision), None)
    if failed is not None:
        draft.actions.append(EndDeployment(DeploymentState.FAILED, failed.reason or "a task failed"))
        return draft.done()
    _follow_the_world(s, draft)
    _thaw(s, draft)
    target = s.deployment.spec.replicas
    foreign = volumes.foreign_holder(s.deployment, s.rivals)
    if foreign is not None:
        draft.actions.append(EndDeployment(DeploymentState.FAILED, f"its volume is in use by {foreign}"))
        return draft.done()
    ready = [task for task in s.current() if task.id in s.published]
    if len(ready) >= target and s.deployment.id not in s.in_hand:
        draft.actions.append(Activate())
    elif volumes.holder(s.rivals) is not None:
        draft.look_at.append(now + volumes.AGAIN_SECS)
    else:
        refused = _grow(s, draft, target, now)
        if refused is not None and not s.in_hand:
            draft.actions.append(EndDeployment(DeploymentState.FAILED, refused))
    return draft.done()


def _serving(s: Snapshot, now: float) -> Plan:
    draft = _Draft()
    _follow_the_world(s, draft)
    level = _level(s, now, draft)
    target = _target(s, level)
    holder = volumes.holder(s.rivals)
    if target and holder is not None:
        draft.look_at.append(now + volumes.AGAIN_SECS)
        draft.refusal = Refusal(reason=f"its volume is in use by {holder}", until=now + volumes.AGAIN_SECS)
    elif level is Level.AWAKE and target and _may_start(s, now, draft):
        refused = _grow(s, draft, target, now)
        if refused is not None:
            draft.look_at.append(now + REFUSED_SECS)
            if not s.standing():
                draft.refusal = Refusal(reason=refused, until=now + REFUSED_SECS, is_fault=False)
    _shrink(s, draft, target, now)
    if level is Level.AWAKE:
        _thaw(s, draft)
    elif level is Level.FROZEN:
        _freeze(s, draft)
    if volumes.is_lost(s.deployment):
        draft.refusal = Refusal(reason="its volume belongs to the version that took over", until=None)
    elif _never_wakes(s.deployment):
        draft.refusal = Refusal(reason="it is scaled to zero and cold start is disabled", until=None)
    elif not target and s.deployment.state is DeploymentState.ACTIVE and not s.has_unstarted():
        # Made ahead, so that a wake is one start.
        draft.actions.append(CreateTasks(1))
    return draft.done()


def _ended(s: Snapshot) -> Plan:
    draft = _Draft()
    for task in s.live:
        # A start in hand is recorded only once it takes long.
        if task.state in (TaskState.PENDING, TaskState.STARTING) and task.id in s.in_hand:
            draft.actions.append(AbortStart(task))
        elif task.id not in s.in_hand:
            draft.actions.append(StopTask(task, f"its deployment is {s.deployment.state}"))
    if s.is_current and s.deployment.state is DeploymentState.STOPPED:
        draft.refusal = Refusal(reason="it was stopped by its owner", until=None)
        return draft.done()
    return draft.done(routed=False)


def _follow_the_world(s: Snapshot, draft: _Draft) -> None:
    """Bring the records of tasks without an action in hand up to what is seen of them."""
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
            case TaskState.RUNNING if task.id not in s.published and not s.is_frozen(task):
                draft.actions.append(PublishTask(task))
            case TaskState.PENDING if lives:
                draft.actions.append(StartTask(task))
            case _:
                pass


def _end_of(task: Task, instance: Instance | None) -> RecordEnd:
    if instance is None:
        return RecordEnd(task, None)
    return RecordEnd(task, instance.exit_code, oom_killed=instance.oom_killed)


def _level(s: Snapshot, now: float, draft: _Draft) -> Level:
    """Say how awake it should be now. With no task that could be frozen it is either awake or asleep."""
    if volumes.is_lost(s.deployment) or volumes.is_wanted(s.deployment, s.rivals):
        return Level.ASLEEP
    frozen = [task for task in s.live if s.is_frozen(task)]
    found_at = s.opened_at if frozen else 0.0
    decided = wanted(
        s.deployment, s.demand, now, found_at=found_at, can_freeze=s.can_freeze, evicted_at=s.evicted_at
    )
    if decided.level is Level.FROZEN and not any(task.state is TaskState.RUNNING for task in s.current()):
        return Level.ASLEEP
    if decided.until is not None:
        draft.look_at.append(decided.until)
    draft.look_when_idle = decided.until_idle
    return decided.level


def _target(s: Snapshot, level: Level) -> int:
    """How many tasks there should be now: none while it sleeps."""
    if level is Level.ASLEEP:
        return 0
    spec = s.deployment.spec
    return max(1, spec.replicas) if spec.cold_start_enabled else spec.replicas


def _never_wakes(deployment: Deployment) -> bool:
    spec = deployment.spec
    if spec.cold_start_enabled:
        return False
    return spec.replicas == 0 or deployment.state is DeploymentState.SUPERSEDED


def _may_start(s: Snapshot, now: float, draft: _Draft) -> bool:
    """Hold back starts after failures, and answer requests with the reason meanwhile."""
    ended = [task for task in s.ended if task.revision == s.deployment.revision]
    failures = failures_in_a_row(ended, since=s.deployment.woken_at)
    if not failures:
        return True
    last = ended[0]
    if failures == 1 and last.ready_at is not None:
        return True  # it had served: somebody may have killed it, and whoever asks now shall not know
    retry_at = (last.ended_at or 0.0) + delay_after(failures)
    if now >= retry_at:
        return True
    draft.look_at.append(retry_at)
    if not s.standing():
        loop = f"crash loop, {failures} failures in a row: " if failures >= LOOP_AT else ""
        draft.refusal = Refusal(reason=f"{loop}{last.reason or 'it ended'}", until=retry_at)
    return False


def _grow(s: Snapshot, draft: _Draft, target: int, now: float) -> str | None:
    """Start pending tasks as far as there is room, and make more, up to the target; or say why not."""
    current = [task for task in s.current() if not task.stop_requested]
    pending = [task for task in current if task.state is TaskState.PENDING]
    if s.deployment.spec.exclusive_paths:
        under_way = [task for task in s.live if task.state is not TaskState.PENDING]
    else:
        under_way = [task for task in current if task.state in (TaskState.STARTING, TaskState.RUNNING)]
    room = target - len(under_way)
    planned = {action.task.id for action in draft.actions if isinstance(action, StartTask)}
    ready = [task for task in pending[: max(0, room)] if task.id not in s.in_hand and task.id not in planned]
    admitted = admit(s.room, len(ready))
    draft.actions += [StartTask(task) for task in ready[: admitted.count]]
    draft.actions += [Evict(victim) for victim in admitted.evicted]
    draft.queues = admitted.queues
    if admitted.waits:
        draft.look_at.append(now + WAIT_SECS)
    missing = room - len(pending)
    if missing > 0 and s.deployment.id not in s.in_hand:
        draft.actions.append(CreateTasks(missing))
    return admitted.refused


def _shrink(s: Snapshot, draft: _Draft, target: int, now: float) -> None:
    """Stop what is not wanted: asked to end, outdated, run out, idle, too many."""
    standing = s.standing()
    ready_now = [task for task in s.current() if task.id in standing and not task.stop_requested]
    replaced = len(ready_now) >= target or bool(s.deployment.spec.exclusive_paths)
    spare = len(ready_now) - target
    asleep_by_wish = s.demand.last_used <= s.deployment.slept_at
    for task in s.at_rest():
        reason, patient = None, True
        if task.stop_requested:
            reason = "stopped on request"
        elif task.revision != s.deployment.revision:
            reason = "its deployment changed" if replaced or task.state is TaskState.PENDING else None
        elif task.state is TaskState.RUNNING:
            kill_at = s.kill_at(task)
            if kill_at is not None and now >= kill_at:
                reason, patient = KILLED_AFTER, False
            elif spare > 0 and task.id in standing:
                spare -= 1
                reason = _why_spare(s, target)
            elif kill_at is not None:
                draft.look_at.append(kill_at)
        if reason is not None and task.state in (TaskState.PENDING, TaskState.RUNNING):
            idle_only = reason in (IDLE, EVICTED) and not asleep_by_wish
            draft.actions.append(StopTask(task, reason, only_if_idle=idle_only, drains=patient))


def _freeze(s: Snapshot, draft: _Draft) -> None:
    leaving = draft.stopped()
    for task in s.at_rest():
        if task.state is TaskState.RUNNING and task.id in s.published and task.id not in leaving:
            draft.actions.append(FreezeTask(task))


def _thaw(s: Snapshot, draft: _Draft) -> None:
    """Let all run again, also those of an older revision: they serve until they are replaced."""
    leaving = draft.stopped()
    for task in s.at_rest():
        if task.state is TaskState.RUNNING and s.is_frozen(task) and task.id not in leaving:
            draft.actions.append(ThawTask(task))


def _why_spare(s: Snapshot, target: int) -> str:
    if target:
        return "fewer replicas are wanted"
    if volumes.is_wanted(s.deployment, s.rivals):
        return "a newer version needs its volume"
    return EVICTED if s.evicted_at else IDLE
