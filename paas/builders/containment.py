"""All that one build runs: limited, measured, and ended as a whole, double forks included."""

import contextlib
import os
import resource
from collections.abc import Collection
from pathlib import Path

from paas.builders.sandbox import Sandbox
from paas.core.records import dataclass
from paas.launching import children, leftovers
from paas.launching.cgroups import Cgroups
from paas.launching.limits import memory_by_rlimit
from paas.launching.users import as_user

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """What the processes of one build may take together."""

    memory_bytes: int
    cpus: float
    processes: int  # threads included
    file_bytes: int  # of each file that they write


class Containment:
    """Holds one build by the first of these that there is: a control group, a space of process ids, a user.

    Where there is none of them, by its process group and its environment, which a build can leave.
    """

    def __init__(self, name: str, sandbox: Sandbox, cgroups: Cgroups | None) -> None:
        self._group = f"build-{name}"
        self.variable = f"PAAS_BUILD={name}"
        self._sandbox = sandbox
        self._cgroups = cgroups

    @property
    def is_shared(self) -> bool:
        """Say whether only the user tells its processes, so that no two builds may run at once."""
        return self._cgroups is None and self._sandbox.bwrap is None and self._sandbox.user is not None

    @property
    def memory_is_limited(self) -> bool:
        """Say whether the kernel limits the memory of all together."""
        return self._cgroups is not None and "memory" in self._cgroups.controllers

    def end_former(self) -> None:
        """End what an agent that was killed left of the same build. Blocks."""
        if self._cgroups is not None:
            leftovers.end_group(self._cgroups, self._group)
        leftovers.end_by_environment(self.variable)

    def hold(self, pid: int, limits: ProcessLimits) -> None:
        """Limit a process, and what it will start. Blocks for about a millisecond. Raises OSError."""
        if self._cgroups is not None:
            self._cgroups.make(self._group)
            self._cgroups.add(self._group, pid)
            self._cgroups.limit(
                self._group,
                memory_bytes=limits.memory_bytes,
                cpu_millis=round(limits.cpus * 1000),
                processes=limits.processes,
            )
        wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: limits.file_bytes}
        wanted[resource.RLIMIT_NPROC] = limits.processes + self._others()
        if not self.memory_is_limited:
            wanted[resource.RLIMIT_DATA] = memory_by_rlimit(limits.memory_bytes)
        for kind, value in wanted.items():
            _, most = resource.prlimit(pid, kind)
            least = value if most == resource.RLIM_INFINITY else min(value, most)
            resource.prlimit(pid, kind, (least, least))

    def memory_bytes(self, pid: int) -> int:
        """Say what memory the build uses that is not of files. Blocks."""
        return sum(_own_memory(member) for member in self._members(pid))

    def end(self, pid: int) -> int:
        """Kill all of the build, wait until it is gone, and give the exit code of its first process. Blocks.

        A process that has ended by itself keeps its exit code.
        """
        if self._cgroups is not None:
            leftovers.end_group(self._cgroups, self._group)
        elif self._sandbox.bwrap is not None:
            # The first process of the space takes all others with it, before its parent hears of it.
            leftovers.until_none(lambda: _living_children_of(pid), leftovers.kill_each)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, 9)
        code = children.reap(pid)
        if self._cgroups is None and self._sandbox.bwrap is None:
            leftovers.until_none(self._found_by_user, self._kill_found)
        return code

    def _members(self, pid: int) -> list[int]:
        if self._cgroups is not None:
            return self._cgroups.members(self._group)
        if self._sandbox.bwrap is not None:
            return _in_space_below(pid)
        return self._found_by_user()

    def _found_by_user(self) -> list[int]:
        user = self._sandbox.user
        if user is None:
            return leftovers.find_by_environment(self.variable)
        return [pid for pid in leftovers.each_pid() if _owner(pid) == user.uid and not _is_dead(pid)]

    def _kill_found(self, pids: Collection[int]) -> None:
        """Kill one by one, or all of a user at once, so that none forks meanwhile."""
        user = self._sandbox.user
        if user is None:
            leftovers.kill_each(pids)
            return
        command = (*as_user(user), "/bin/sh", "-c", "kill -9 -1")
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            children.reap(children.spawn(command, children.PLAIN_ENVIRONMENT, stdin=None, output=null))
        finally:
            os.close(null)

    def _others(self) -> int:
        """Count the threads that the kernel counts with the build's, being of the same user."""
        if self._sandbox.user is not None:
            return 0
        return sum(_threads(pid) for pid in leftovers.all_pids() if _owner(pid) == os.getuid())


def _owner(pid: int) -> int:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return -1


def _threads(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208 - names are all it needs
    except OSError:
        return 0


def _own_memory(pid: int) -> int:
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * PAGE_BYTES


def _stat(pid: int) -> list[str]:
    """Give what stands after the name in /proc/PID/stat: state, parent, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return ["X", "0"]


def _is_dead(pid: int) -> bool:
    return _stat(pid)[0] in "ZX"


def _living_children_of(pid: int) -> list[int]:
    return [other for other in leftovers.all_pids() if _stat(other)[1] == str(pid) and not _is_dead(other)]


def _in_space_below(pid: int) -> list[int]:
    """List the processes of the space whose first process is a child of this one."""
    first = _living_children_of(pid)
    space = _space(first[0]) if first else None
    return [] if space is None else [other for other in leftovers.all_pids() if _space(other) == space]


def _space(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return None
