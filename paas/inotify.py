"""Two calls of Linux that Python's library lacks: inotify, and punching holes into files."""

import ctypes
import os
import struct
from pathlib import Path

IN_MODIFY = 0x2
IN_ONESHOT = 0x80000000
IN_IGNORED = 0x8000
EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
READ_SIZE = 64 * 1024
FALLOC_FL_KEEP_SIZE = 0x1
FALLOC_FL_PUNCH_HOLE = 0x2

_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = _libc.fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class Inotify:
    """Tells once for each watch that a file was written. Every method may raise OSError."""

    def __init__(self) -> None:
        self.descriptor = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def watch_once(self, path: Path) -> int:
        """Ask to be told of the next write; returns the number that `read` will give, never used again."""
        number = _libc.inotify_add_watch(
            self.descriptor, os.fsencode(path), ctypes.c_uint32(IN_MODIFY | IN_ONESHOT)
        )
        return _checked(number)

    def drop(self, number: int) -> None:
        """Forget a watch; one that has fired is forgotten already."""
        _libc.inotify_rm_watch(self.descriptor, number)

    def read(self) -> list[int]:
        """List the watches that fired; -1 among them says that some were lost."""
        try:
            events = os.read(self.descriptor, READ_SIZE)
        except BlockingIOError:
            return []
        fired = []
        position = 0
        while position < len(events):
            number, mask, _, name_size = EVENT.unpack_from(events, position)
            position += EVENT.size + name_size
            if not mask & IN_IGNORED:
                fired.append(number)
        return fired

    def close(self) -> None:
        os.close(self.descriptor)


def punch_hole(descriptor: int, size_bytes: int) -> None:
    """Free the first bytes of a file; offsets and the size stay. Raises OSError where it cannot be done."""
    mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
    _checked(_fallocate(descriptor, mode, 0, size_bytes))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
