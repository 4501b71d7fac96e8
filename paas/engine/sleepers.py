"""What was last read of deployments that sleep, so that a wake need not wait for the database.

A wake is one pass, and its read was the longest step of it: two changes of threads (figures in
docs/performance.md). Only deployments that sleep, frozen ones included, are kept, only the last few, and only
until somebody writes anything about them: every write has its event, which names its deployment or app.
"""

from collections.abc import Mapping

from paas.core.ids import DeploymentId, TaskId
from paas.core.model import Instance
from paas.core.states import DeploymentState, TaskState
from paas.core.workers import stays_awake
from paas.store.database import Database
from paas.store.snapshots import Stored

MOST_KEPT = 64  # some kilobytes each


class Sleepers:
    def __init__(self, database: Database) -> None:
        self._kept: dict[DeploymentId, Stored] = {}
        self._commits = 0
        database.after_commit.append(self._forget_touched)

    def recall(self, key: DeploymentId) -> Stored | None:
        """Give what a read would give now; None: it has to be read."""
        return self._kept.get(key)

    def commits(self) -> int:
        """Count commits: to be noted before a read, and given to `keep` after it."""
        return self._commits

    def keep(self, stored: Stored, seen: Mapping[TaskId, Instance], commits: int) -> None:
        """Keep what was read, if it sleeps and nothing was committed since `commits`."""
        key = stored.deployment.id
        self._kept.pop(key, None)
        if commits == self._commits and _sleeps(stored, seen):
            self._kept[key] = stored
            if len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]

    def _forget_touched(self, touched: frozenset[str]) -> None:
        self._commits += 1
        for key in [
            key for key, stored in self._kept.items() if key in touched or stored.deployment.app_id in touched
        ]:
            del self._kept[key]


def _sleeps(stored: Stored, seen: Mapping[TaskId, Instance]) -> bool:
    return stored.deployment.state is DeploymentState.ACTIVE and all(
        task.state is TaskState.PENDING
        or (task.id in seen and seen[task.id].status == "frozen")
        or stays_awake(stored.deployment, task)
        for task in stored.live
    )
