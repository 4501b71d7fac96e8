"""One task's output on disk: lines by offset, when they were written, and how it stays bounded.

Everything here blocks on the disk. Offsets are those of the file as if nothing had ever been freed.
"""

import bisect
import errno
import os
import struct
from pathlib import Path

from paas.inotify import punch_hole

CHUNK_SIZE = 1024 * 1024
LINE_LIMIT = 64 * 1024  # a longer line comes in pieces of this size
BLOCK_SIZE = 4096  # what a file system can free
ENTRY = struct.Struct("<Qd")
ENTRY_LIMIT = 4096  # of the index of times: 64 KiB a task

Lines = list[tuple[int, bytes]]  # a line without its end, and the offset after it


class Times:
    """When which part of a file was there: a step function from offset to time, kept beside the file."""

    def __init__(self, path: Path) -> None:
        """Read what was kept; a file cut off in the middle of an entry gives the entries before it."""
        self._path = path
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            content = b""
        whole = len(content) - len(content) % ENTRY.size
        self._entries: list[tuple[int, float]] = list(ENTRY.iter_unpack(content[:whole]))

    def note(self, size_bytes: int, at: float) -> None:
        """Remember that all up to this size had been written at this time."""
        if self._entries and size_bytes <= self._entries[-1][0]:
            if size_bytes == self._entries[-1][0]:
                return
            self._entries = []  # the file began anew
            self._path.unlink(missing_ok=True)
        self._entries.append((size_bytes, at))
        if len(self._entries) > ENTRY_LIMIT:
            half = ENTRY_LIMIT // 2  # old lines get coarser times, new ones keep theirs
            self._entries = [*self._entries[:half:2], *self._entries[half:]]
            self._rewrite()
        else:
            with self._path.open("ab") as file:
                file.write(ENTRY.pack(size_bytes, at))

    def of(self, offset: int, otherwise: float) -> float:
        """Say when the bytes before an offset had been written."""
        entries = self._entries
        index = bisect.bisect_left(entries, (offset, 0.0))
        return entries[index][1] if index < len(entries) else otherwise

    def _rewrite(self) -> None:
        temporary = self._path.with_suffix(".times-new")
        temporary.write_bytes(b"".join(ENTRY.pack(*entry) for entry in self._entries))
        temporary.rename(self._path)


def read_lines(path: Path, after: int, *, ended: bool) -> tuple[Lines, int]:
    """Read about a mebibyte of lines after an offset; returns them and the offset to go on from.

    A last line without its end counts only if the task has `ended`. An offset past the end reads from
    the start: the file was truncated. An absent file is empty.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return [], after
    try:
        size = os.fstat(descriptor).st_size
        after = 0 if after > size else after
        start, content = _read_live(descriptor, after)
        cut = 0
        if start > after:  # the line at the edge of what was freed is not whole
            cut = content.find(b"\n") + 1
        at_end = start + len(content) >= size
    finally:
        os.close(descriptor)
    return _split(content, start, cut, with_rest=ended and at_end)


def start_of_tail(path: Path, lines: int, after: int) -> int:
    """Find an offset from which on at least the last `lines` lines follow, and not many more."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return after
    try:
        position = os.fstat(descriptor).st_size
        first = max(min(after, position), live_from(descriptor))
        found = 0
        while position > first:
            start = max(first, position - CHUNK_SIZE)
            content = os.pread(descriptor, position - start, start)
            found += content.count(b"\n")
            if found > lines:
                return start + _after_newline(content, found - lines)
            position = start
    finally:
        os.close(descriptor)
    return after


def live_from(descriptor: int) -> int:
    """Find where the part of a file begins that was not freed."""
    try:
        return os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but a hole, or empty
            return os.fstat(descriptor).st_size
        raise


def bound(path: Path, kept_bytes: int) -> int:
    """Free all but about the last `kept_bytes`; returns the offset where what is kept begins.

    Where the file system cannot free a part, the file begins anew, and what is written meanwhile is lost.
    """
    descriptor = os.open(path, os.O_WRONLY)
    try:
        size = os.fstat(descriptor).st_size
        freed = max(0, size - kept_bytes) // BLOCK_SIZE * BLOCK_SIZE
        if not freed:
            return 0
        try:
            punch_hole(descriptor, freed)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.ENOSYS}:
                raise
            os.ftruncate(descriptor, 0)
            return 0
        return freed
    finally:
        os.close(descriptor)


def _read_live(descriptor: int, after: int) -> tuple[int, bytes]:
    """Read on after an offset, or from where the part begins that was not freed; gives that place, too."""
    while True:
        start = max(after, live_from(descriptor))
        content = os.pread(descriptor, CHUNK_SIZE, start)
        if live_from(descriptor) <= start:  # else it was freed before it was read, which gives zeros
            return start, content


def _after_newline(content: bytes, number: int) -> int:
    """Find the position after the n-th newline, counted from one."""
    position = 0
    for _ in range(number):
        position = content.index(b"\n", position) + 1
    return position


def _split(content: bytes, start: int, cut: int, *, with_rest: bool) -> tuple[Lines, int]:
    lines: Lines = []
    position = cut
    while position < len(content):
        end = content.find(b"\n", position, position + LINE_LIMIT + 1)
        if end >= 0:
            lines.append((start + end + 1, content[position:end].removesuffix(b"\r")))
            position = end + 1
        elif len(content) - position > LINE_LIMIT:
            piece_end = position + LINE_LIMIT
            lines.append((start + piece_end, content[position:piece_end]))
            position = piece_end
        else:
            break
    if with_rest and position < len(content):
        lines.append((start + len(content), content[position:]))
        position = len(content)
    return lines, start + position
