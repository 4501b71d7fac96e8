"""What the host has left for starts, and what to do about a start that it has no room for. Pure."""

from paas.core.ids import DeploymentId
from paas.core.records import dataclass, replace

WAIT_SECS = 0.1  # until memory that is being freed is looked at again
REFUSED_SECS = 2.0  # how long requests hear at once that there is no memory
MEBIBYTE = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Idler:
    """A deployment whose tasks may be stopped for others: nobody uses it, and it may sleep."""

    deployment_id: DeploymentId
    memory_bytes: int  # what its tasks are taken to hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    slots: int  # how many tasks of this deployment may start now, those before it in line considered
    task_bytes: int = 0  # what one of its tasks is expected to need
    spare_bytes: int | None = None  # free beyond what is kept in reserve; None: nothing is
    coming_bytes: int = 0  # held by what was evicted and has not ended yet
    idlers: tuple[Idler, ...] = ()  # the longest idle first; only looked for when memory is short

    def less(self, starts: int) -> "Room":
        """Say what is left after some starts."""
        spare = None if self.spare_bytes is None else self.spare_bytes - starts * self.task_bytes
        return replace(self, slots=self.slots - starts, spare_bytes=spare)


ENDLESS = Room(slots=1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """How many starts there is room for, and what to do for the others."""

    count: int
    queues: bool = False  # for a slot
    evicted: tuple[DeploymentId, ...] = ()
    waits: bool = False  # for memory that is being freed
    refused: str | None = None


def admit(room: Room, starts: int) -> Admitted:
    """Decide how many of some starts may begin now."""
    if not starts:
        return Admitted(count=0)
    fit = starts
    if room.spare_bytes is not None:
        fit = min(starts, max(0, room.spare_bytes) // max(1, room.task_bytes))
        if not fit:
            return _make_room(room, room.spare_bytes)
    count = min(fit, max(0, room.slots))
    return Admitted(count=count, queues=count < starts)


def _make_room(room: Room, spare_bytes: int) -> Admitted:
    """Stop those that were idle for longest, as many as it takes; refuse only when there are none."""
    missing = room.task_bytes - spare_bytes - room.coming_bytes
    evicted = []
    for idler in room.idlers:
        if missing <= 0:
            break
        evicted.append(idler.deployment_id)
        missing -= idler.memory_bytes
    if evicted or room.coming_bytes:
        return Admitted(count=0, evicted=tuple(evicted), waits=True)
    need, spare = room.task_bytes // MEBIBYTE, spare_bytes // MEBIBYTE
    return Admitted(
        count=0,
        refused=f"not enough memory: a task needs about {need} MiB, and {max(0, spare)} MiB are free beyond"
        " the reserve, with no idle app left to stop",
    )
