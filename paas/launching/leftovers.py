"""Find and end every process of a task or a build, also those that left its session and process group."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from paas.launching.cgroups import Cgroups

PATIENCE_S = 5.0  # a killed process may take a while to die: memory to free, a disk to answer
PAUSE_S = 0.001
MOST_LISTINGS = 10  # in one look: on a machine where processes come and go there is always a new one
BECOMING_S = 2.0  # another program: the kernel may have to read from a disk for that
_MEMORY, _VARIABLES, _VARIABLES_END = 20, 47, 48  # in /proc/PID/stat after the name (proc(5))


def end_group(cgroups: Cgroups, name: str) -> bool:
    """Kill all of a group and wait until they are gone; False if something would not die. Blocks."""
    cgroups.kill(name)
    gone = until_none(lambda: cgroups.members(name), lambda _pids: cgroups.kill(name))
    cgroups.remove(name)
    return gone


def end_by_environment(variable: str) -> bool:
    """Kill all processes that were started with a variable, NAME=VALUE, until none is found. Blocks.

    A process that leaves the session and also clears its environment is not found: only a control
    group holds those.
    """
    return until_none(lambda: find_by_environment(variable), kill_each)


def end_all_but(launcher: int, members: Callable[[], Collection[int]]) -> None:
    """Kill a task's processes but not its launcher, which has the exit code yet to write. Blocks."""
    until_none(lambda: [pid for pid in members() if pid != launcher], kill_each)


def find_by_environment(variable: str) -> list[int]:
    """List the living processes started with a variable; others' processes are not readable."""
    wanted = os.fsencode(variable)
    found = []
    for pid in each_pid():
        with contextlib.suppress(OSError):
            if wanted in _environment_of(pid).split(b"\0"):
                found.append(pid)
    return found


def find_by_group(process_group: int) -> list[int]:
    """List the processes of a process group. Sound only while its leader is known to live."""
    found = []
    for pid in each_pid():
        with contextlib.suppress(OSError):
            if os.getpgid(pid) == process_group:
                found.append(pid)
    return found


def find_children(pid: int) -> list[int]:
    """List the children of a process, without a look at any other; none where the kernel does not tell."""
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_bytes().split()]
    return []


def all_pids() -> list[int]:
    """List every process that is to be seen."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - names are all it needs


def each_pid() -> Iterator[int]:
    """Name every process, at last those that appeared meanwhile: their parents may have ended unseen."""
    named: set[int] = set()
    for _ in range(MOST_LISTINGS):
        new = [pid for pid in all_pids() if pid not in named]
        if not new:
            return
        named.update(new)
        yield from new


def _environment_of(pid: int) -> bytes:
    """Read what a process was started with. Raises OSError.

    One that is just becoming another program shows nothing for a moment, which is waited for.
    """
    path = Path(f"/proc/{pid}/environ")
    deadline = time.monotonic() + BECOMING_S
    while not (content := path.read_bytes()) and not _has_none(pid) and time.monotonic() < deadline:
        time.sleep(PAUSE_S)
    return content


def _has_none(pid: int) -> bool:
    """Say whether a process has no memory any more, as threads of the kernel never have, or no variables."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return fields[_MEMORY] == b"0" or fields[_VARIABLES] == fields[_VARIABLES_END] != b"0"


def kill_each(pids: Collection[int]) -> None:
    """Send SIGKILL to each that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def until_none(find: Callable[[], Collection[int]], kill: Callable[[Collection[int]], None]) -> bool:
    """Kill what is found until nothing is found; False if something would not die. Blocks."""
    deadline = time.monotonic() + PATIENCE_S
    while found := find():
        if time.monotonic() > deadline:
            return False
        kill(found)
        time.sleep(PAUSE_S)  # in a thread; nothing tells of the death of another's child
    return True
