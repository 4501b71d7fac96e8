"""Which process has a certain socket open."""

import contextlib
import os
from collections.abc import Iterable


def is_open_in(pids: Iterable[int], inode: int) -> bool:
    """Say whether one of these processes has the socket; yes of one that we may not look into. Blocks."""
    return any(_has_open(pid, inode) for pid in pids)


def _has_open(pid: int, inode: int) -> bool:
    wanted = f"socket:[{inode}]"
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        try:
            with os.scandir(f"/proc/{pid}/fd") as entries:
                return any(_target(entry.path) == wanted for entry in entries)
        except PermissionError:
            return True  # nothing can be told of a process that we may not look into
    return False


def _target(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - thousands of these may be looked at
    except FileNotFoundError:
        return ""
