"""What is true of one deployment at one moment: all that `plan` looks at."""

from collections.abc import Iterator, Mapping

from paas.core.ids import TaskId
from paas.core.live import Demand
from paas.core.model import Deployment, Instance, Rival, Task
from paas.core.records import dataclass, replace
from paas.core.room import ENDLESS, Room
from paas.core.spec import WEB
from paas.core.states import TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What is true of one deployment: as stored, as drivers see it, as traffic wants it."""

    deployment: Deployment
    has_artifact: bool  # its bytes are here, or its image has a name
    is_current: bool
    newer_is_current: bool
    live: tuple[Task, ...]
    ended: tuple[Task, ...]  # the last few, newest first
    seen: Mapping[TaskId, Instance]
    published: Mapping[TaskId, int]  # tasks that take traffic, with their requests in flight
    demand: Demand
    in_hand: frozenset[str]  # ids of tasks, and of the deployment, with an action under way
    opened_at: float  # when the agent started: counts as use of what it found frozen
    can_freeze: bool
    rivals: tuple[Rival, ...] = ()  # for its volumes
    room: Room = ENDLESS  # for its starts
    evicted_at: float = 0.0  # when others needed its memory; use after that is not affected

    def of(self, process: str) -> "Snapshot":
        """See the tasks of one process only."""
        if all(task.process == process for tasks in (self.live, self.ended) for task in tasks):
            return self
        return replace(
            self,
            live=tuple(task for task in self.live if task.process == process),
            ended=tuple(task for task in self.ended if task.process == process),
        )

    def current(self) -> Iterator[Task]:
        """Give the live tasks that run the spec as it is now."""
        return (task for task in self.live if task.revision == self.deployment.revision)

    def at_rest(self) -> Iterator[Task]:
        """Give the live tasks without an action in hand."""
        return (task for task in self.live if task.id not in self.in_hand)

    def is_frozen(self, task: Task) -> bool:
        instance = self.seen.get(task.id)
        return instance is not None and instance.status == "frozen"

    def standing(self) -> frozenset[TaskId]:
        """Name the tasks that serve, or will as soon as they are thawed; of workers, those that run."""
        others = (
            task.id
            for task in self.live
            if task.state is TaskState.RUNNING and (task.process != WEB or self.is_frozen(task))
        )
        return frozenset((*self.published, *others))

    def has_unstarted(self) -> bool:
        """Say whether a task was made ahead, or is about to be."""
        waits = any(task.state is TaskState.PENDING for task in self.current())
        return waits or self.deployment.id in self.in_hand

    def kill_at(self, task: Task) -> float | None:
        """Say when a task will have run for its max_runtime_secs."""
        limit = self.deployment.spec.max_runtime_secs
        return None if limit is None or task.started_at is None else task.started_at + limit
