"""What plan() has decided so far, and what it comes to."""

from collections.abc import Sequence

from paas.core.actions import Action, Evict, StartTask, StopTask
from paas.core.ids import TaskId
from paas.core.live import Refusal
from paas.core.model import Task
from paas.core.records import dataclass, field
from paas.core.room import WAIT_SECS, Room, admit


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
class Draft:
    room: Room  # that is left for starts
    actions: list[Action] = field(default_factory=list)
    refusal: Refusal | None = None
    look_at: list[float] = field(default_factory=list)
    look_when_idle: bool = False
    queues: bool = False

    def starting(self) -> frozenset[TaskId]:
        return frozenset(action.task.id for action in self.actions if isinstance(action, StartTask))

    def stopped(self) -> frozenset[TaskId]:
        return frozenset(action.task.id for action in self.actions if isinstance(action, StopTask))

    def start(self, tasks: Sequence[Task], now: float) -> str | None:
        """Start tasks as far as there is room, those before others that are named first; or say why not."""
        admitted = admit(self.room, len(tasks))
        self.actions += [StartTask(task) for task in tasks[: admitted.count]]
        self.actions += [Evict(victim) for victim in admitted.evicted]
        self.room = self.room.less(admitted.count) if admitted.count else self.room
        self.queues = self.queues or admitted.queues
        if admitted.waits:
            self.look_at.append(now + WAIT_SECS)
        return admitted.refused

    def done(self, *, routed: bool = True) -> Plan:
        return Plan(
            actions=tuple(self.actions),
            refusal=self.refusal,
            routed=routed,
            look_again_at=min(self.look_at, default=None),
            look_when_idle=self.look_when_idle,
            queues=self.queues,
        )
