"""How a task ends: asked, then killed, then every process that it left behind."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path

from paas.core.ids import TaskId
from paas.core.live import Usage
from paas.core.model import Instance
from paas.core.records import dataclass, field
from paas.drivers.native_usage import NativeUsage
from paas.drivers.runs import Runs
from paas.launching import leftovers
from paas.launching.cgroups import Cgroups

logger = logging.getLogger(__name__)

LAST_LINE_S = 2.0  # for a launcher whose program was killed, to write the exit code
YOUNG_S = 2.0  # until then a launcher may still be making its program, and swallow the signal for both
LOOK_EVERY_S = 0.005


@dataclass(slots=True, eq=False, kw_only=True)
class Running:
    """A task whose launcher lives, as far as its pidfd has told."""

    task_id: TaskId
    launcher: int
    pidfd: int
    group: str
    instance: Instance
    stopped: tuple[int, ...] | None = ()  # its processes that a signal holds; None: another agent sent it
    group_id: int | None = None  # of that group, as the kernel counts them; None: not known yet
    started_at: float = field(default_factory=time.monotonic)  # or found
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Ender:
    """Ends tasks, with control groups where there are any, else by process group and environment."""

    def __init__(self, runs: Runs, cgroups: Cgroups | None, usage: NativeUsage) -> None:
        self._runs = runs
        self._cgroups = cgroups
        self._usage = usage

    async def end(self, running: Running, grace: timedelta) -> bool:
        """Ask a running task to end, and make it when `grace` is over; say whether that was needed."""
        await self._until_it_hears(running)
        await self.measure([running])  # once it has ended nothing tells what memory it had
        for number in (signal.SIGTERM, signal.SIGCONT):  # a stopped process would never see the first
            _signal_group(running, number)
        if await _ends_within(running, grace.total_seconds()):
            return False
        await asyncio.to_thread(leftovers.end_all_but, running.launcher, self.members_of(running))
        if not await _ends_within(running, LAST_LINE_S):
            _signal_group(running, signal.SIGKILL)
            await _ends_within(running, LAST_LINE_S)
        return True

    async def until_ended(self, running: Running) -> None:
        """Wait for the launcher of a program that has ended: it has the exit code to write, no more."""
        await _ends_within(running, LAST_LINE_S)

    def clear(self, task_id: TaskId, *, we_killed_it: bool = False) -> int | None:
        """Kill what an ended run left and return its exit code; nothing if it still runs. Blocks.

        A launcher that we had to kill could not write the code, so that it is written here.
        """
        record = self._runs.read(task_id)
        if record is None or record.held:
            return None
        if self._cgroups is not None:
            self._usage.note_end(task_id, record.group)
            gone = leftovers.end_group(self._cgroups, record.group)
        else:
            gone = leftovers.end_by_environment(f"TASK_ID={task_id}")
        if not gone:
            logger.error("A process does not die", extra={"event": "task.undead", "task": task_id})
        if record.exit_code is None and we_killed_it and not record.never_began:
            return self._runs.note_killed(task_id)
        return record.exit_code

    async def measure(self, tasks: Collection[Running]) -> None:
        """Note what running tasks use just now."""

        def look() -> list[Usage | None]:
            return [self._usage.look(running.group, self.members_of(running)()) for running in tasks]

        for running, seen in zip(tasks, await asyncio.to_thread(look), strict=True):
            if not running.ended.is_set():
                self._usage.note(running.task_id, seen)

    async def _until_it_hears(self, running: Running) -> None:
        """Wait until a young task's program has signals of its own: its launcher only notes them."""
        members = self.members_of(running)
        while time.monotonic() < running.started_at + YOUNG_S and not running.ended.is_set():
            if await asyncio.to_thread(hears, running.launcher, members):
                return
            await _ends_within(running, LOOK_EVERY_S)

    def members_of(self, running: Running) -> Callable[[], list[int]]:
        """Give what lists the processes of a task; listing them blocks."""
        cgroups = self._cgroups
        if cgroups is not None:
            return lambda: cgroups.members(running.group)
        return lambda: [
            *leftovers.find_by_group(running.launcher),
            *leftovers.find_by_environment(f"TASK_ID={running.task_id}"),
        ]


def hears(launcher: int, members: Callable[[], list[int]]) -> bool:
    """Say whether a task has a process that is more than a copy of its launcher. Blocks."""
    others = [pid for pid in members() if pid != launcher]
    program = _program(launcher)  # not before: a launcher without a child may be what becomes the shell
    return any(not (_program(pid) == program and _catches_the_end(pid)) for pid in others)


def _program(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return ""


def _catches_the_end(pid: int) -> bool:
    """Say whether a process has a handler for SIGTERM, as the launcher's copy has at first."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def _signal_group(running: Running, number: signal.Signals) -> None:
    if not running.ended.is_set():  # the launcher's id is its own until then
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.launcher, number)


async def _ends_within(running: Running, seconds: float) -> bool:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await running.ended.wait()
    except TimeoutError:
        return False
    return True
