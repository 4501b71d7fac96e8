"""What a task's processes use, as the kernel tells: control groups of both versions, else /proc. All blocks.

Memory is the working set, as Kubernetes reckons it: without file pages that were not used lately, since
the kernel drops those at once. The peak is the kernel's own without the file pages of now.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from paas.core.ids import TaskId
from paas.core.live import Usage
from paas.core.records import dataclass
from paas.drivers.cgroup_trees import groups_of

TICKS = os.sysconf("SC_CLK_TCK")
KIB = 1024
_USER_TIME, _LAST_TIME = 11, 15  # in /proc/PID/stat after the name: utime, stime, cutime, cstime (proc(5))


@dataclass(frozen=True, slots=True)
class _Memory:
    now: int
    peak: int
    oom_kills: int = 0


def of_group(group: Path, pids: Iterable[int]) -> Usage | None:
    """Measure a group of version 2 and, where it does not count memory, its processes; None if it is gone."""
    cpu_secs = _cpu_v2(group)
    if cpu_secs is None:
        return None
    return _usage(cpu_secs, _memory_v2(group) or _memory_of(pids))


def of_processes(pids: Iterable[int]) -> Usage | None:
    """Measure processes and the children that they have waited for; None if none lives."""
    times = {pid: secs for pid in pids if (secs := _cpu_of(pid)) is not None}
    return _usage(sum(times.values()), _memory_of(times)) if times else None


def of_container(pid: int, name: str) -> Usage | None:
    """Measure the control groups, of either version, in which a container's first process is.

    None if it has ended: its groups have the container's id in their names, else it is another process.
    """
    folders = {controller: folder for controller, folder in groups_of(pid).items() if name in str(folder)}
    unified = folders.get("")
    cpu_secs, memory = None, None
    if "cpuacct" in folders:
        cpu_secs = _cpu_v1(folders["cpuacct"])
    if cpu_secs is None and unified is not None:
        cpu_secs = _cpu_v2(unified)
    if "memory" in folders:
        memory = _memory_v1(folders["memory"])
    elif unified is not None:
        memory = _memory_v2(unified)
    return None if cpu_secs is None or memory is None else _usage(cpu_secs, memory)


class LastUsage:
    """Keeps the last look at each task, also of one that has ended, until it is forgotten."""

    def __init__(self) -> None:
        self._last: dict[TaskId, Usage] = {}

    def note(self, task_id: TaskId, seen: Usage | None) -> None:
        """Take in a look at a task, in any order with others; None tells nothing."""
        before = self._last.get(task_id)
        if seen is not None:
            self._last[task_id] = seen if before is None else _joined(before, seen)

    def of(self, task_ids: Iterable[TaskId]) -> dict[TaskId, Usage]:
        """Give what is known of some tasks."""
        return {task_id: self._last[task_id] for task_id in task_ids if task_id in self._last}

    def forget(self, task_id: TaskId) -> None:
        self._last.pop(task_id, None)


def _joined(before: Usage, now: Usage) -> Usage:
    """Join two looks at one task: what was used up, and what was most, only grows."""
    return Usage(
        cpu_secs=max(before.cpu_secs, now.cpu_secs),
        memory_bytes=now.memory_bytes,
        memory_peak_bytes=max(before.memory_peak_bytes, now.memory_peak_bytes),
        oom_kills=max(before.oom_kills, now.oom_kills),
    )


def _usage(cpu_secs: float, memory: _Memory) -> Usage:
    return Usage(
        cpu_secs=cpu_secs,
        memory_bytes=memory.now,
        memory_peak_bytes=memory.peak,
        oom_kills=memory.oom_kills,
    )


def _memory(used: int, most: int, file: int, unused_file: int, oom_kills: int) -> _Memory:
    now = max(0, used - unused_file)
    return _Memory(now, max(now, most - file), oom_kills)


def _cpu_v2(group: Path) -> float | None:
    micros = _table(group / "cpu.stat").get("usage_usec")
    return None if micros is None else micros / 1e6


def _memory_v2(group: Path) -> _Memory | None:
    """Read a group that counts memory; the kernel's peak is known since Linux 5.19."""
    used = _number(group / "memory.current")
    if used is None:
        return None
    pages, events = _table(group / "memory.stat"), _table(group / "memory.events")
    most = _number(group / "memory.peak") or used
    return _memory(used, most, pages.get("file", 0), pages.get("inactive_file", 0), events.get("oom_kill", 0))


def _cpu_v1(group: Path) -> float | None:
    nanos = _number(group / "cpuacct.usage")
    return None if nanos is None else nanos / 1e9


def _memory_v1(group: Path) -> _Memory | None:
    used = _number(group / "memory.usage_in_bytes")
    if used is None:
        return None
    pages, control = _table(group / "memory.stat"), _table(group / "memory.oom_control")
    most = _number(group / "memory.max_usage_in_bytes") or used
    return _memory(
        used,
        most,
        pages.get("total_cache", 0),
        pages.get("total_inactive_file", 0),
        control.get("oom_kill", 0),
    )


def _cpu_of(pid: int) -> float | None:
    try:
        # Its name may hold any bytes.
        words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return sum(map(int, words[_USER_TIME:_LAST_TIME])) / TICKS


def _memory_of(pids: Iterable[int]) -> _Memory:
    """Sum up processes; what they share counts once, where the kernel lets us see that."""
    now = peak = 0
    for pid in pids:
        status = _table(Path(f"/proc/{pid}/status"))
        resident = status.get("VmRSS:", 0)
        share = _table(Path(f"/proc/{pid}/smaps_rollup")).get("Pss:", resident)
        now += share
        peak += share + max(0, status.get("VmHWM:", 0) - resident)
    return _Memory(now * KIB, peak * KIB)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _table(file: Path) -> dict[str, int]:
    """Read lines of a name and a number; whatever else there is, and a file that is gone, is left out."""
    found = {}
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        words = line.split()
        if len(words) > 1 and words[1].isdecimal():
            found[words[0]] = int(words[1])
    return found
