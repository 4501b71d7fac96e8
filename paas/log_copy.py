"""A task's log that the agent itself fills: what was copied so far, exact through any end of the agent.

Beside the log lies a place: how long the log was, and where the source's output goes on after that.
It is written after the log, so what the log has beyond it is copied again, over the same bytes.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PLACE_BYTES = 256  # always written whole: one page, one write
LOST = b"... lines lost: this log was damaged\n"
_UNREADABLE = (-1, "")


class LogCopy:
    """One log. Everything here blocks on the disk; nothing stays open between two calls."""

    def __init__(self, log: Path, place: Path) -> None:
        self._log = log
        self._place = place
        self._size_bytes = 0

    def resume(self) -> str:
        """Find where the copy stopped; returns the cursor of the source, "" for its beginning."""
        with _opened(self._log, 0o620) as log, _opened(self._place, 0o600) as place:
            size_bytes, cursor = _read(os.pread(place, PLACE_BYTES, 0))
            present_bytes = os.fstat(log).st_size
            if size_bytes < 0:  # damaged by a power cut: only all over again is exact
                os.ftruncate(log, 0)
                size_bytes = present_bytes = 0
            self._size_bytes = min(size_bytes, present_bytes)
        if size_bytes > present_bytes:
            self.append(LOST, cursor)
        return cursor

    def append(self, content: bytes, cursor: str) -> None:
        """Add what the source gave, up to a cursor. May be cut off anywhere."""
        with _opened(self._log, 0o620) as log, _opened(self._place, 0o600) as place:
            # Where a file system cannot free a part of it, a log is bounded by beginning anew.
            self._size_bytes = min(self._size_bytes, os.fstat(log).st_size)
            rest = memoryview(content)
            while rest:
                written = os.pwrite(log, rest, self._size_bytes)
                self._size_bytes += written
                rest = rest[written:]
            os.pwrite(place, _line(self._size_bytes, cursor), 0)

    def finish(self) -> None:
        """Note that nothing follows: cut off what an earlier copy may have left behind the end."""
        with _opened(self._log, 0o620) as log:
            if os.fstat(log).st_size > self._size_bytes:
                os.ftruncate(log, self._size_bytes)


@contextlib.contextmanager
def _opened(path: Path, mode: int) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _line(size_bytes: int, cursor: str) -> bytes:
    line = f"{size_bytes} {cursor}".encode()
    if len(line) >= PLACE_BYTES:
        raise ValueError(f"cannot keep a cursor of {len(cursor)} characters")
    return line.ljust(PLACE_BYTES - 1) + b"\n"


def _read(content: bytes) -> tuple[int, str]:
    if not content:
        return 0, ""
    size, _, cursor = content.decode("ascii", "replace").rstrip().partition(" ")
    if len(content) != PLACE_BYTES or not size.isdigit():
        return _UNREADABLE
    return int(size), cursor
