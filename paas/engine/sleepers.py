"""What was last read of deployments that sleep, and what a request starts of them: no wake waits for that.

A wake is one pass, and its read was the longest step of it, two changes of threads; the next was to decide
what follows (figures in docs/performance.md). Only deployments that sleep, frozen ones included, are kept,
only the last few, and only until somebody writes anything about them: every write has its event, which names
its deployment or app.
"""

from collections.abc import Mapping

from paas.core.actions import StartTask
from paas.core.ids import DeploymentId, TaskId
from paas.core.model import Instance
from paas.core.plan import on_demand
from paas.core.records import dataclass
from paas.core.snapshot import Snapshot
from paas.core.states import DeploymentState, TaskState
from paas.core.workers import stays_awake
from paas.store.database import Database
from paas.store.snapshots import Stored

MOST_KEPT = 64  # some kilobytes each


@dataclass(frozen=True, slots=True)
class Sleeper:
    """What a read would give now, and what plan() would start if requests waited; empty: it must be asked."""

    stored: Stored
    on_demand: tuple[StartTask, ...]


class Sleepers:
    def __init__(self, database: Database) -> None:
        self._kept: dict[DeploymentId, Sleeper] = {}
        self._commits = 0
        database.after_commit.append(self._forget_touched)

    def recall(self, key: DeploymentId) -> Sleeper | None:
        """Give what holds of it now; None: it has to be read."""
        return self._kept.get(key)

    def commits(self) -> int:
        """Count commits: to be noted before a read, and given to `keep` after it."""
        return self._commits

    def keep(self, stored: Stored, found: Snapshot, now: float, commits: int) -> None:
        """Keep what was read and found, if it sleeps and nothing was committed since `commits`."""
        key = stored.deployment.id
        self._kept.pop(key, None)
        if commits == self._commits and _sleeps(stored, found.seen):
            self._kept[key] = Sleeper(stored, on_demand(found, now))
            if len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]

    def _forget_touched(self, touched: frozenset[str]) -> None:
        self._commits += 1
        for key in [
            key
            for key, kept in self._kept.items()
            if key in touched or kept.stored.deployment.app_id in touched
        ]:
            del self._kept[key]


def _sleeps(stored: Stored, seen: Mapping[TaskId, Instance]) -> bool:
    return stored.deployment.state is DeploymentState.ACTIVE and all(
        task.state is TaskState.PENDING
        or (task.id in seen and seen[task.id].status == "frozen")
        or stays_awake(stored.deployment, task)
        for task in stored.live
    )
