"""The release command of a new deployment: it runs once, before all else of it, and has to succeed."""

from paas.core.actions import CreateTasks, StopTask
from paas.core.draft import Draft
from paas.core.model import Task
from paas.core.processes import release_of
from paas.core.snapshot import Snapshot
from paas.core.spec import RELEASE
from paas.core.states import TaskState

LIMIT_SECS = 600.0  # where max_runtime_secs does not say less
TRIES = 3  # when nobody knows how it ended


def is_due(s: Snapshot) -> bool:
    """Say whether a starting deployment has yet to see its release command succeed."""
    return release_of(s.deployment) is not None and not any(map(_succeeded, s.of(RELEASE).ended))


def fault(s: Snapshot) -> str | None:
    """Say why a starting deployment failed by its release command; None: it did not.

    One that ended while no agent looked, as in a power cut, is no failure: it is run again.
    """
    if not is_due(s):
        return None
    ended = s.of(RELEASE).ended
    known = next((task for task in ended if not _is_lost(task)), None)
    if known is None:
        return f"nobody knows how its release command ended, {TRIES} times" if len(ended) >= TRIES else None
    reason = known.reason or "it ended"
    if reason.startswith("it "):
        return f"its release command {reason.removeprefix('it ')}"
    return f"its release command failed: {reason}"


def run(s: Snapshot, draft: Draft, now: float) -> str | None:
    """Start it, or watch over it; or say why there is no room for it."""
    own = s.of(RELEASE)
    if not own.live and s.deployment.id not in s.in_hand:
        draft.actions.append(CreateTasks(1, RELEASE))
    planned = draft.starting()
    rests = [task for task in own.at_rest() if task.id not in planned]
    for task in rests:
        if task.state is TaskState.RUNNING:
            _watch_over(s, task, draft, now)
    return draft.start([task for task in rests if task.state is TaskState.PENDING], now)


def _watch_over(s: Snapshot, task: Task, draft: Draft, now: float) -> None:
    limit_secs = min(LIMIT_SECS, s.deployment.spec.max_runtime_secs or LIMIT_SECS)
    kill_at = (task.started_at or 0.0) + limit_secs
    if task.stop_requested:
        draft.actions.append(StopTask(task, "stopped on request", drains=False))
    elif now >= kill_at:
        draft.actions.append(StopTask(task, f"it ran for more than {limit_secs:g} s", drains=False))
    else:
        draft.look_at.append(kill_at)


def _succeeded(task: Task) -> bool:
    return task.crashed and task.exit_code == 0  # by itself, that is


def _is_lost(task: Task) -> bool:
    return task.crashed and task.exit_code is None and task.ready_at is not None
