"""The host's room for starts: a line for start slots, and memory with those who may be evicted for it.

It counts and remembers; what follows from it is decided by plan(). Memory only: after a restart of the
agent nothing is in line, and nobody has been evicted.
"""

import asyncio
import errno
import logging
import os
import re
from collections.abc import Callable

from paas.core.ids import DeploymentId, TaskId
from paas.core.model import Deployment
from paas.core.ports import Clock
from paas.core.records import dataclass
from paas.core.resources import memory_bytes
from paas.core.room import Idler, Room
from paas.core.states import SERVING_DEPLOYMENT
from paas.engine.metering import Metering
from paas.router import Router

logger = logging.getLogger(__name__)

SAMPLE_SECS = 0.1
JUST_NOW_SECS = 1.0  # what was used this recently is in use
PERCENT = 100
MEMORY_LINES_BYTES = 256

# proc_meminfo(5): since Linux 3.14 these are its first three lines.
_MEMORY = re.compile(rb"MemTotal: +(\d+) kB\nMemFree: +\d+ kB\nMemAvailable: +(\d+) kB\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMemory:
    total_bytes: int
    available_bytes: int  # as the kernel estimates it, what it can drop at once included


@dataclass(frozen=True, slots=True)
class _Held:
    """What the tasks of a deployment hold."""

    deployment: Deployment
    tasks: int

    @property
    def may_sleep(self) -> bool:
        deployment = self.deployment
        return deployment.spec.cold_start_enabled and deployment.state in SERVING_DEPLOYMENT


class Admission:
    def __init__(
        self,
        *,
        router: Router,
        metering: Metering,
        clock: Clock,
        host_memory: Callable[[], HostMemory],
        reserved_percent: float,
        starts_at_once: int,
        poke: Callable[[DeploymentId], None],
    ) -> None:
        self._router = router
        self._metering = metering
        self._clock = clock
        self._host_memory = host_memory
        self._reserved_percent = reserved_percent
        self._starts_at_once = starts_at_once
        self._poke = poke
        self._line: dict[DeploymentId, None] = {}
        self._starting: dict[TaskId, tuple[int, asyncio.TimerHandle]] = {}
        self._held: dict[DeploymentId, _Held] = {}
        self._evicted: dict[DeploymentId, float] = {}
        self._spare_bytes = 0
        self._sampled_at: float | None = None
        self._begun_since_bytes = 0  # of starts that the last sample may not show

    def room(self, deployment: Deployment, *, will_start: bool) -> Room:
        """Say what there is for a deployment; memory only if it may come to a start."""
        slots = self._slots(deployment.id)
        if not will_start or not self._reserved_percent:
            return Room(slots=slots)
        task_bytes = self._expected_bytes(deployment)
        spare = self._sample() - self._begun_since_bytes - sum(size for size, _ in self._starting.values())
        is_short = spare < task_bytes
        return Room(
            slots=slots,
            task_bytes=task_bytes,
            spare_bytes=spare,
            coming_bytes=self._coming_bytes() if is_short else 0,
            idlers=self._idlers(deployment.id) if is_short else (),
        )

    def note(self, deployment: Deployment, *, tasks: int) -> None:
        """Note how many tasks of a deployment hold memory, frozen and stopping ones included."""
        key = deployment.id
        evicted_at = self._evicted.get(key)
        if evicted_at is not None and (
            deployment.woken_at > evicted_at or not self._is_idle(key, since=evicted_at)
        ):
            del self._evicted[key]  # somebody asked for it
        if not tasks:
            if self._held.pop(key, None) is not None and key in self._evicted:
                self._sampled_at = None  # what it gave back must be seen before another is stopped
            return
        self._held[key] = _Held(deployment, tasks)

    def evicted_at(self, key: DeploymentId) -> float:
        """Say since when a deployment must not run unless it is used again; 0: it may."""
        return self._evicted.get(key, 0.0)

    def evict(self, key: DeploymentId) -> None:
        """Let an idle deployment be stopped, unless somebody asks for it before; repeatable."""
        if key in self._held and key not in self._evicted:
            self._evicted[key] = self._clock.now()
            extra = {"event": "deployment.evicted", "deployment": key}
            logger.info("An idle app is stopped, since another needs its memory", extra=extra)
            self._poke(key)

    def forget(self, key: DeploymentId) -> None:
        """Forget a deployment that will never run again."""
        self._held.pop(key, None)
        self._evicted.pop(key, None)
        self.stand(key, in_line=False)

    def stand(self, key: DeploymentId, *, in_line: bool) -> None:
        """Stand in line for a slot, or leave it; who stands already keeps the place."""
        if in_line:
            self._line.setdefault(key)
        elif key in self._line:
            del self._line[key]
            self._call_next()

    def begin(self, deployment: Deployment, task_id: TaskId) -> None:
        """Take a slot for a start: until its end, or for as long as it may take at most."""
        limit_secs = deployment.spec.start_timeout_secs
        timer = asyncio.get_running_loop().call_later(limit_secs, self.end, task_id)
        self._starting[task_id] = self._expected_bytes(deployment), timer

    def end(self, task_id: TaskId) -> None:
        """Give a slot back; repeatable."""
        started = self._starting.pop(task_id, None)
        if started is not None:
            size, timer = started
            timer.cancel()
            self._begun_since_bytes += size
            self._call_next()

    def _slots(self, key: DeploymentId) -> int:
        ahead = 0
        for other in self._line:
            if other == key:
                break
            ahead += 1
        return self._starts_at_once - len(self._starting) - ahead

    def _call_next(self) -> None:
        free = self._starts_at_once - len(self._starting)
        for key, _ in zip(self._line, range(free), strict=False):
            self._poke(key)

    def _expected_bytes(self, deployment: Deployment) -> int:
        """Say what one task may need: what was measured, else its limit."""
        peak = self._metering.peaks.get(deployment.app_id)
        return peak or memory_bytes(deployment.spec.resources.memory)

    def _sample(self) -> int:
        """Give what is free beyond the reserve, as it was at most a moment ago."""
        now = self._clock.monotonic()
        if self._sampled_at is None or now >= self._sampled_at + SAMPLE_SECS:
            found = self._host_memory()
            reserved = int(found.total_bytes * self._reserved_percent / PERCENT)
            self._spare_bytes = found.available_bytes - reserved
            self._sampled_at = now
            self._begun_since_bytes = 0
        return self._spare_bytes

    def _coming_bytes(self) -> int:
        return sum(self._held_bytes(key) for key in self._evicted if key in self._held)

    def _held_bytes(self, key: DeploymentId) -> int:
        held = self._held[key]
        return held.tasks * self._expected_bytes(held.deployment)

    def _idlers(self, but: DeploymentId) -> tuple[Idler, ...]:
        used_before = self._clock.now() - JUST_NOW_SECS
        found = sorted(
            (self._router.demand(key).last_used, key)
            for key, held in self._held.items()
            if held.may_sleep
            and key != but
            and key not in self._evicted
            and self._is_idle(key, since=used_before)
        )
        return tuple(Idler(deployment_id=key, memory_bytes=self._held_bytes(key)) for _, key in found)

    def _is_idle(self, key: DeploymentId, *, since: float) -> bool:
        demand = self._router.demand(key)
        return not demand.waiting and not demand.in_flight and demand.last_used <= since


def read_host_memory() -> HostMemory:
    """Read the first lines of /proc/meminfo: some 20 us."""
    descriptor = os.open("/proc/meminfo", os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = _MEMORY.match(os.read(descriptor, MEMORY_LINES_BYTES))
    finally:
        os.close(descriptor)
    if found is None:
        raise OSError(errno.EPROTO, "/proc/meminfo does not begin with what there is of memory")
    return HostMemory(total_bytes=int(found[1]) * 1024, available_bytes=int(found[2]) * 1024)
