"""Freeze and thaw a control group by its file: memory stays, nothing of it runs, a thaw takes microseconds.

`cgroup.freeze` of version 2, also in a version 2 tree without controllers that stands beside version 1;
else `freezer.state` of version 1. Both can be read back, so that nothing need be remembered. In version 2
SIGKILL ends a frozen process, in version 1 only once it is thawed; every other signal waits for the thaw.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from paas.core.errors import Unavailable
from paas.drivers.cgroup_trees import groups_of
from paas.launching.cgroups import GONE

VERSION_2, VERSION_1 = "cgroup.freeze", "freezer.state"
WORDS = {VERSION_2: (b"1", b"0"), VERSION_1: (b"FROZEN", b"THAWED")}


def freezer_of(group: Path) -> Path | None:
    """Find the file that freezes a group of version 2; None where the kernel has none (before 5.2)."""
    file = group / VERSION_2
    return file if file.exists() else None


def freezer_of_process(pid: int) -> Path | None:
    """Find the file that freezes the group of a process, the better one first; None if there is none.

    Never that of a tree's root, which every process of the machine may be in.
    """
    return next((file for file in _freezers_of(pid) if file.exists()), None)


def freeze(file: Path) -> None:
    """Let no process of a group run any more; repeatable, nothing if it is gone. Raises Unavailable."""
    _write(file, 0)


def thaw(file: Path) -> None:
    """Let the processes of a group run again; repeatable, nothing if it is gone. Raises Unavailable."""
    _write(file, 1)


def is_frozen(file: Path) -> bool:
    """Say whether a group is frozen, or about to be; one that is gone is not."""
    try:
        return file.read_bytes().strip() in (b"1", b"FROZEN", b"FREEZING")
    except OSError:
        return False


def _write(file: Path, word: int) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY)
        try:
            os.write(descriptor, WORDS[file.name][word])
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in GONE:
            return
        verb = ("freeze", "thaw")[word]
        raise Unavailable(f"cannot {verb} a task: {file}: {error.strerror or error}") from error


def _freezers_of(pid: int) -> Iterator[Path]:
    groups = groups_of(pid)
    for controller, name in (("", VERSION_2), ("freezer", VERSION_1)):
        if controller in groups:
            yield groups[controller] / name
