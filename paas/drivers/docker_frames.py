"""Takes the engine's stream of log entries apart, and remembers how far it was taken. Pure.

A frame (Docker API, "attach", stream format) is a byte for the stream, three of zero, the length in four,
and an entry: a time of RFC 3339, a space, and what was written. Docker's times have nine digits of a
second, Podman's have none. A line of more than 16 KiB comes as several entries with one time, of which
only the last ends with a newline.
"""

import re
from datetime import datetime

from paas.core.records import dataclass

HEAD_BYTES = 8
SHORTEST_STAMP_BYTES = 20  # 2026-11-22T10:00:00Z
LONGEST_STAMP_BYTES = 35  # 2026-11-22T10:00:00.123456789+01:00
LONGEST_FRAME_BYTES = 1024 * 1024
LONGEST_LINE_BYTES = 64 * 1024  # of what is held until its end; a longer one goes on in pieces
LOOK_BACK_NS = 10 * 10**9  # the streams' entries are never stored more out of order than this
BOTH = 2  # streams
LOST = b"... lines lost: the engine had dropped them before they were copied\n"
_NS = 10**9
_STAMP = re.compile(r"(.{19})(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


@dataclass(slots=True)
class _Stream:
    """How far one stream was taken: the stamp of its last entry, and how many entries with it."""

    name: str
    stamp: bytes = b""
    count: int = 0
    held: bytes = b""  # the beginning of a line whose end has not come
    held_from: tuple[bytes, int] = (b"", 0)  # stamp of that line, and how many entries with it came before
    skip_to: bytes = b""  # entries before this stamp were taken earlier,
    to_skip: int = 0  # and as many with this very stamp

    def place(self) -> str:
        stamp, count = self.held_from if self.held else (self.stamp, self.count)
        return f"{self.name}{'~' if self.held else '@'}{stamp.decode()}+{count}"

    def was_taken(self, stamp: bytes) -> bool:
        """Say whether an earlier copy took the entry that comes now."""
        if not self.skip_to or stamp > self.skip_to:
            self.skip_to = b""
            return False
        if stamp == self.skip_to:
            self.to_skip -= 1
            return self.to_skip >= 0
        return True

    def note(self, stamp: bytes) -> None:
        self.count = self.count + 1 if stamp == self.stamp else 1
        self.stamp = stamp


class Entries:
    """Gives what containers wrote, without frames and stamps, each line in one piece.

    `after` is the cursor of an earlier one: what that had given is left out, and if the engine does
    not have its last entry any more, a line says that some are lost.
    """

    def __init__(self, after: str = "") -> None:
        self._rest = b""
        self._streams = {1: _Stream("o"), 2: _Stream("e")}
        self._last: _Stream | None = None
        self._awaited: _Stream | None = None  # whose last taken entry has to come before any new one
        for name, is_held, stamp, count in _places(after):
            stream = self._streams[1 if name == "o" else 2]
            stream.stamp = stream.skip_to = stamp
            stream.count = stream.to_skip = count
            if self._last is None:
                self._last = stream
                self._awaited = None if is_held else stream

    def cursor(self) -> str:
        """Say how far it was given; where lines are held, up to before them."""
        taken = [stream for stream in self._streams.values() if stream.stamp]
        taken.sort(key=lambda stream: stream is not self._last)
        return " ".join(stream.place() for stream in taken)

    def take(self, received: bytes) -> bytes:
        """Take the next part of the stream; returns what of it is new and whole. Raises ValueError."""
        received = self._rest + received if self._rest else received
        length = len(received)
        position = 0
        given: list[bytes] = []
        while position + HEAD_BYTES <= length:
            begin = position + HEAD_BYTES
            end = begin + int.from_bytes(received[position + 4 : begin], "big")
            if end > length:
                if end - begin > LONGEST_FRAME_BYTES:
                    raise ValueError(f"a frame of {end - begin} bytes")
                break
            self._take_entry(received[position], received[begin:end], given)
            position = end
        self._rest = received[position:]
        return b"".join(given)

    def rest(self) -> bytes:
        """Give what is held, when nothing follows any more."""
        given: list[bytes] = []
        for stream in self._streams.values():
            if stream.held:
                self._give(stream, b"", given)
        return b"".join(given)

    def _take_entry(self, number: int, entry: bytes, given: list[bytes]) -> None:
        stream = self._streams.get(number)
        space = entry.find(b" ", SHORTEST_STAMP_BYTES, LONGEST_STAMP_BYTES + 1)
        if stream is None or space < 0:
            raise ValueError("a frame that is not an entry of a log")
        stamp = entry[:space]
        if stream.was_taken(stamp):
            if stream is self._awaited and stream.to_skip == 0 and stamp == stream.stamp:
                self._awaited = None
            return
        if not (entry.endswith(b"\n") or len(stream.held) >= LONGEST_LINE_BYTES):
            if not stream.held:
                stream.held_from = (stamp, stream.count if stamp == stream.stamp else 0)
            stream.held += entry[space + 1 :]
            stream.note(stamp)
            return
        stream.note(stamp)
        self._give(stream, entry[space + 1 :], given)

    def _give(self, stream: _Stream, content: bytes, given: list[bytes]) -> None:
        if self._awaited is not None:
            self._awaited = None
            given.append(LOST)
        if stream.held:
            given.append(stream.held)
            stream.held = b""
        given.append(content)
        self._last = stream


def since(cursor: str) -> str:
    """Say from when on the engine has to be asked to go on after a cursor: its `since`."""
    places = _places(cursor)
    if not places:
        return "0"
    times = [(_nanoseconds(stamp), held) for _, held, stamp, _ in places]
    earliest = max(time for time, _ in times) - LOOK_BACK_NS
    starts = [time if held else max(time, earliest) for time, held in times]
    start = min(starts if len(starts) == BOTH else [*starts, earliest])
    return f"{start // _NS}.{start % _NS:09d}"


def _places(cursor: str) -> list[tuple[str, bool, bytes, int]]:
    """Read a cursor: stream, whether a line of it is held, stamp, count. Raises ValueError."""
    found = []
    for place in cursor.split():
        stamp, _, count = place[2:].rpartition("+")
        found.append((place[0], place[1] == "~", stamp.encode(), int(count)))
    return found


def _nanoseconds(stamp: bytes) -> int:
    found = _STAMP.fullmatch(stamp.decode())
    if found is None:
        raise ValueError(f"not a time: {stamp!r}")
    seconds = datetime.fromisoformat(found[1] + found[3]).timestamp()
    return int(seconds) * _NS + int((found[2] or "").ljust(9, "0"))
