"""Freeze and thaw a native task: by its control group, or where there is none by stopping its processes.

Stopped processes notice it (SIGCONT has handlers, and their parent is told), frozen ones do not.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from paas.core.errors import Unavailable
from paas.drivers import freezing
from paas.drivers.ending import Running
from paas.launching import leftovers
from paas.launching.cgroups import Cgroups

STOPPED, GONE = "T", "X"
HALTED = frozenset({STOPPED, GONE, "Z"})
STOPPED_WITHIN_S = 2.0  # a process that forks may need to be found again
PAUSE_S = 0.001


class Halter:
    """Halts tasks and lets them go on. The launcher is halted with its group, but never by a signal."""

    def __init__(self, cgroups: Cgroups | None) -> None:
        self._cgroups = cgroups

    def freeze(self, running: Running, members: Callable[[], list[int]]) -> None:
        """Let no process of a task run. Blocks. Raises Unavailable, then all of them run."""
        file = self._file(running.group)
        if file is not None:
            freezing.freeze(file)
            return
        running.stopped = _stop_all(running.launcher, members)

    def thaw(self, running: Running, members: Callable[[], list[int]]) -> None:
        """Let the processes of a task run again. Blocks only if another agent stopped them one by one.

        Raises Unavailable.
        """
        file = self._file(running.group)
        if file is not None:
            freezing.thaw(file)
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.launcher, signal.SIGCONT)
        for pid in members() if running.stopped is None else running.stopped:
            _send(pid, signal.SIGCONT)
        running.stopped = ()

    def is_frozen(self, launcher: int, group: str) -> bool:
        """Say whether a task that another agent started is frozen. Blocks."""
        file = self._file(group)
        if file is not None:
            return freezing.is_frozen(file)
        states = {_state_of(pid) for pid in leftovers.find_by_group(launcher) if pid != launcher}
        return STOPPED in states and states <= HALTED  # one that only ended was not frozen

    def _file(self, group: str) -> Path | None:
        return None if self._cgroups is None else freezing.freezer_of(self._cgroups.base / group)


def _stop_all(launcher: int, members: Callable[[], list[int]]) -> tuple[int, ...]:
    """Send SIGSTOP until every process has it, children that were just being made included."""
    deadline = time.monotonic() + STOPPED_WITHIN_S
    stopped: set[int] = set()
    while going := [pid for pid in members() if pid != launcher and _state_of(pid) not in HALTED]:
        if time.monotonic() > deadline:
            for pid in (*stopped, *going):
                _send(pid, signal.SIGCONT)
            raise Unavailable("cannot freeze a task: a process of it does not stop")
        for pid in going:
            _send(pid, signal.SIGSTOP)
        stopped.update(going)
        time.sleep(PAUSE_S)  # in a thread; nothing tells of another's child
    return tuple(stopped)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _state_of(pid: int) -> str:
    """Give the state of a process as proc(5) has it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return GONE
