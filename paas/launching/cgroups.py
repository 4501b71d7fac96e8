"""Control groups, version 2: one for each task, to limit it and to find all of its processes.

Where the agent is root, the groups stand in `paas` at the top of the tree, as those of container engines
do: below a systemd unit they would forbid systemd to restart the agent beside its tasks (the kernel
allows no processes in a group that limits its children). Without root the agent's own group is
used where it is writable; then limits work only if the agent runs in a subgroup of what it may write.
"""

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

CONTROLLERS = ("memory", "cpu", "pids")
MOST_PROCESSES = 2048  # of one task, threads included
CPU_PERIOD_US = 100_000
YOUNG_S = 60.0
GONE = frozenset({errno.ENOENT, errno.ENODEV})  # the second if it went while its file was open


class Cgroups:
    """The groups of all tasks below one folder; made by `find_cgroups`."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.controllers = frozenset(_words(base / "cgroup.subtree_control"))

    def make(self, name: str) -> None:
        (self.base / name).mkdir(exist_ok=True)

    def add(self, name: str, pid: int) -> None:
        """Move a process in; its children follow. May take milliseconds: not on the loop."""
        (self.base / name / "cgroup.procs").write_text(str(pid))

    def limit(
        self, name: str, *, memory_bytes: int, cpu_millis: int, processes: int = MOST_PROCESSES
    ) -> None:
        """Set the limits that this system can enforce; the others are left to rlimits."""
        group = self.base / name
        if "memory" in self.controllers:
            (group / "memory.max").write_text(str(memory_bytes))
            with contextlib.suppress(FileNotFoundError):  # kernels without accounting of swap
                (group / "memory.swap.max").write_text("0")
        if "cpu" in self.controllers:
            quota_us = max(1000, cpu_millis * CPU_PERIOD_US // 1000)
            (group / "cpu.max").write_text(f"{quota_us} {CPU_PERIOD_US}")
        if "pids" in self.controllers:
            (group / "pids.max").write_text(str(processes))

    def members(self, name: str) -> list[int]:
        """List the living processes of a group; zombies do not count, an absent group is empty."""
        try:
            return [int(pid) for pid in _words(self.base / name / "cgroup.procs")]
        except OSError as error:
            if error.errno in GONE:
                return []
            raise

    def id_of(self, name: str) -> int | None:
        """Give the number by which the kernel knows a group; None if it is gone."""
        try:
            return (self.base / name).stat().st_ino
        except OSError:
            return None

    def kill(self, name: str) -> None:
        """Send SIGKILL to every process of a group at once, forks in progress included."""
        try:
            (self.base / name / "cgroup.kill").write_text("1")
        except OSError as error:
            if error.errno not in GONE:
                raise
            for pid in self.members(name):  # none, or Linux before 5.14
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def sweep(self) -> None:
        """Delete empty groups whose owner is gone; not young ones, which are just being filled."""
        for group in self.base.iterdir():
            with contextlib.suppress(OSError):  # in use, or gone by itself
                if group.is_dir() and time.time() - group.stat().st_ctime > YOUNG_S:
                    group.rmdir()

    def remove(self, name: str) -> None:
        """Delete an empty group; absent is success, and one still in use stays."""
        with contextlib.suppress(OSError):
            (self.base / name).rmdir()


def find_cgroups() -> Cgroups | None:
    """Make the folder for all groups, with every controller that can be had; None if none is writable."""
    for base in _candidates():
        try:
            base.mkdir(exist_ok=True)
            _try_a_group(base)
        except OSError:
            continue
        _enable(base.parent)
        _enable(base)
        return Cgroups(base)
    return None


def _candidates() -> Iterator[Path]:
    tree = _mount_point()
    own = _own_group()
    if tree is None or own is None:
        return
    if os.geteuid() == 0:
        yield tree / "paas"
    own_folder = tree / own.lstrip("/")
    if own_folder != tree:
        if os.access(own_folder.parent / "cgroup.procs", os.W_OK):
            yield own_folder.parent / "paas-tasks"
        yield own_folder / "paas-tasks"


def _mount_point() -> Path | None:
    """Find where the version 2 tree is mounted: on its own, or beside version 1."""
    with Path("/proc/self/mountinfo").open() as mounts:
        for line in mounts:
            before, _, after = line.partition(" - ")
            if after.startswith("cgroup2 "):
                return Path(before.split()[4])
    return None


def _own_group() -> str | None:
    with Path("/proc/self/cgroup").open() as groups:
        return next((line[3:].rstrip("\n") for line in groups if line.startswith("0::")), None)


def _try_a_group(base: Path) -> None:
    """Find out by doing whether groups can be made here and killed as one."""
    trial = base / f"trial-{os.getpid()}"
    trial.mkdir(exist_ok=True)
    try:
        with (trial / "cgroup.procs").open("w"):
            pass
    finally:
        trial.rmdir()


def _enable(group: Path) -> None:
    for controller in CONTROLLERS:
        with contextlib.suppress(OSError):  # not available here, or processes stand in the way
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _words(file: Path) -> list[str]:
    return file.read_text().split()
