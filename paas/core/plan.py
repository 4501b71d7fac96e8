"""plan(): what to do next about one deployment. Pure; the only place that decides.

It looks at what is true now, never at what happened, so it may be asked at any time and
any number of times. What it returns is done by the executor, one action per task at a time.
"""

from paas.core import releasing, staffing, volumes, workers
from paas.core.actions import AbortStart, Activate, Build, CreateTasks, EndDeployment, StartTask, StopTask
from paas.core.draft import Draft, Plan
from paas.core.idleness import Level, wanted
from paas.core.live import Demand, Refusal
from paas.core.model import Deployment
from paas.core.records import replace
from paas.core.room import ENDLESS, REFUSED_SECS
from paas.core.snapshot import Snapshot
from paas.core.spec import RELEASE, WEB
from paas.core.staffing import Spare
from paas.core.states import DeploymentState, TaskState

IDLE, EVICTED = "idle", "idle, and others need its memory"


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


def on_demand(s: Snapshot, now: float) -> tuple[StartTask, ...]:
    """Say what plan() will do once requests wait and there is room, if that is starts and nothing else.

    It holds as long as nothing changes but time, demand, and who needs memory. Empty: plan() must be asked.
    """
    asked = replace(
        s, demand=Demand(waiting=1, in_flight=0, last_used=0.0), in_hand=frozenset(), room=ENDLESS
    )
    decided = plan(asked, now)
    starts = tuple(action for action in decided.actions if isinstance(action, StartTask))
    return starts if decided == Plan(actions=starts) else ()


def _before_start(s: Snapshot) -> Plan:
    draft = Draft(s.room)
    if s.newer_is_current:
        draft.actions.append(EndDeployment(DeploymentState.CANCELLED, "a newer version took over"))
    elif s.has_artifact and s.deployment.id not in s.in_hand:
        draft.actions.append(Build())
    return draft.done()


def _starting(s: Snapshot, now: float) -> Plan:
    draft = Draft(s.room)
    if s.newer_is_current:
        draft.actions.append(EndDeployment(DeploymentState.CANCELLED, "a newer version took over"))
        return draft.done()
    fault = releasing.fault(s) or _fault(s)
    if fault is not None:
        draft.actions.append(EndDeployment(DeploymentState.FAILED, fault))
        return draft.done()
    staffing.follow_the_world(s, draft)
    staffing.thaw(s, draft)
    foreign = volumes.foreign_holder(s.deployment, s.rivals)
    if foreign is not None:
        draft.actions.append(EndDeployment(DeploymentState.FAILED, f"its volume is in use by {foreign}"))
    elif _is_up(s):
        if s.deployment.id not in s.in_hand:
            draft.actions.append(Activate())
    elif volumes.holder(s.rivals) is not None:
        draft.look_at.append(now + volumes.AGAIN_SECS)
    else:
        refused = _begin(s, draft, now)
        if refused is not None and not s.in_hand:
            draft.actions.append(EndDeployment(DeploymentState.FAILED, refused))
    return draft.done()


def _is_up(s: Snapshot) -> bool:
    """Say whether a new deployment may take over."""
    if releasing.is_due(s):
        return False
    ready = [task for task in s.of(WEB).current() if task.id in s.published]
    return len(ready) >= s.deployment.spec.replicas and workers.are_up(s)


def _begin(s: Snapshot, draft: Draft, now: float) -> str | None:
    """Start what has to be up before it takes over; or say why there is no room for it."""
    if releasing.is_due(s):
        return releasing.run(s, draft, now)
    refused = staffing.grow(s.of(WEB), draft, s.deployment.spec.replicas, now)
    return workers.begin(s, draft, now) or refused


def _fault(s: Snapshot) -> str | None:
    """Say why a new deployment failed by one of its tasks; None: it did not."""
    current = s.deployment.revision
    failed = next((t for t in s.ended if t.crashed and t.revision == current and t.process != RELEASE), None)
    if failed is None:
        return None
    reason = failed.reason or "a task failed"
    if failed.process == WEB:
        return reason
    its = f"its process {failed.process}"
    return f"{its} {reason.removeprefix('it ')}" if reason.startswith("it ") else f"{its}: {reason}"


def _serving(s: Snapshot, now: float) -> Plan:
    draft = Draft(s.room)
    staffing.follow_the_world(s, draft)
    web = s.of(WEB)
    level = _level(web, now, draft)
    _serve_web(web, level, draft, now)
    workers.serve(s, level, draft, now)
    return draft.done()


def _serve_web(s: Snapshot, level: Level, draft: Draft, now: float) -> None:
    target = _target(s, level)
    holder = volumes.holder(s.rivals)
    if target and holder is not None:
        draft.look_at.append(now + volumes.AGAIN_SECS)
        draft.refusal = Refusal(reason=f"its volume is in use by {holder}", until=now + volumes.AGAIN_SECS)
    elif level is Level.AWAKE and target and _may_start(s, now, draft):
        refused = staffing.grow(s, draft, target, now)
        if refused is not None:
            draft.look_at.append(now + REFUSED_SECS)
            if not s.standing():
                draft.refusal = Refusal(reason=refused, until=now + REFUSED_SECS, is_fault=False)
    staffing.shrink(s, draft, target, now, _spare(s, target))
    if level is Level.AWAKE:
        staffing.thaw(s, draft)
    elif level is Level.FROZEN:
        staffing.freeze(s, draft)
    if volumes.is_lost(s.deployment):
        draft.refusal = Refusal(reason="its volume belongs to the version that took over", until=None)
    elif _never_wakes(s.deployment):
        draft.refusal = Refusal(reason="it is scaled to zero and cold start is disabled", until=None)
    elif not target and s.deployment.state is DeploymentState.ACTIVE and not s.has_unstarted():
        # Made ahead, so that a wake is one start.
        draft.actions.append(CreateTasks(1))


def _ended(s: Snapshot) -> Plan:
    draft = Draft(s.room)
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


def _level(s: Snapshot, now: float, draft: Draft) -> Level:
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


def _may_start(s: Snapshot, now: float, draft: Draft) -> bool:
    """Hold back starts after failures, and answer requests with the reason meanwhile."""
    pause = staffing.pause(s, now)
    if pause is None:
        return True
    draft.look_at.append(pause.until)
    if not s.standing():
        draft.refusal = Refusal(reason=pause.reason, until=pause.until)
    return False


def _spare(s: Snapshot, target: int) -> Spare:
    if target:
        return Spare(reason=staffing.ENOUGH)
    if volumes.is_wanted(s.deployment, s.rivals):
        return Spare(reason="a newer version needs its volume")
    asleep_by_wish = s.demand.last_used <= s.deployment.slept_at
    return Spare(reason=EVICTED if s.evicted_at else IDLE, only_if_idle=not asleep_by_wish)
