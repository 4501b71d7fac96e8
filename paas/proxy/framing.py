"""Where a message's body ends: strict readers of content, and the writer of chunks. Pure.

RFC 9112, sections 6 and 7. llhttp reads the heads; these find the end of a body exactly, so that
no byte of the next message is looked at before its turn. Two readings of one byte stream are how
requests are smuggled, so what is not plainly right is refused.
"""

import re
from collections.abc import Callable

LONGEST_CHUNK_LINE = 4096  # a size and its extensions
LARGEST_CHUNK = 2**63 - 1

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*)?")
_FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_LONE_LF = re.compile(rb"(?<!\r)\n")


class BadFraming(ValueError):
    """The body's bytes contradict its framing: nothing after them can be trusted."""


class FixedBody:
    """A body of a known number of bytes."""

    __slots__ = ("_remaining",)

    trailers: tuple[tuple[bytes, bytes], ...] = ()

    def __init__(self, length: int) -> None:
        self._remaining = length

    def feed(self, data: bytes) -> tuple[list[bytes], bytes | None]:
        """Return the content in `data`, and what follows the body: None while it goes on."""
        size = len(data)
        if size < self._remaining:
            self._remaining -= size
            return [data], None
        if size == self._remaining:
            self._remaining = 0
            return [data], b""
        end, self._remaining = self._remaining, 0
        return [data[:end]], data[end:]


class CloseDelimitedBody:
    """A response body that ends with its connection."""

    __slots__ = ()

    trailers: tuple[tuple[bytes, bytes], ...] = ()

    def feed(self, data: bytes) -> tuple[list[bytes], bytes | None]:
        return [data], None


class ChunkedBody:
    """A chunked body: content without its chunk lines, and the trailers once it has ended."""

    __slots__ = ("_buffer", "_pieces", "_remaining", "_step", "_trailer_limit", "trailers")

    def __init__(self, trailer_limit: int) -> None:
        self._buffer = b""  # an unfinished line or trailer section
        self._pieces: list[bytes] = []
        self._remaining = 0  # of the chunk being read
        self._trailer_limit = trailer_limit
        self._step: _Step | None = ChunkedBody._read_size  # unbound, lest the reader refers to itself
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()

    def feed(self, data: bytes) -> tuple[list[bytes], bytes | None]:
        """Return the content in `data`, and what follows the body: None while it goes on.

        Raises BadFraming for anything but RFC 9112's grammar with CRLF line ends.
        """
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        pieces: list[bytes] = []
        self._pieces = pieces
        position = 0
        while self._step is not None:
            next_position = self._step(self, data, position)
            if next_position is None:
                return pieces, None
            position = next_position
        return pieces, data[position:]

    # Each step returns where the next one begins, or None when it needs more than it was given.

    def _read_size(self, data: bytes, start: int) -> int | None:
        end = data.find(b"\r\n", start, start + LONGEST_CHUNK_LINE)
        if end < 0:
            self._keep(data, start, LONGEST_CHUNK_LINE)
            return None
        line = _CHUNK_LINE.fullmatch(data, start, end)
        if line is None:
            raise BadFraming("a chunk does not begin with its size")
        self._remaining = int(line[1], 16)
        if self._remaining > LARGEST_CHUNK:
            raise BadFraming("a chunk is larger than any body can be")
        self._step = ChunkedBody._read_content if self._remaining else ChunkedBody._read_trailers
        return end + 2

    def _read_content(self, data: bytes, start: int) -> int | None:
        end = start + self._remaining
        available = len(data)
        if end > available:
            if start < available:
                self._pieces.append(data[start:])
                self._remaining = end - available
            return None
        self._pieces.append(data[start:end])
        self._step = ChunkedBody._read_content_end
        return end

    def _read_content_end(self, data: bytes, start: int) -> int | None:
        if not b"\r\n".startswith(data[start : start + 2]):
            raise BadFraming("a chunk is longer than its size says")
        if len(data) < start + 2:
            self._buffer = data[start:]
            return None
        self._step = ChunkedBody._read_size
        return start + 2

    def _read_trailers(self, data: bytes, start: int) -> int | None:
        if data.startswith(b"\r\n", start):
            self._step = None
            return start + 2
        end = data.find(b"\r\n\r\n", start, start + self._trailer_limit)
        if end < 0:
            self._keep(data, start, self._trailer_limit)
            return None
        self.trailers = tuple(_field(line) for line in data[start:end].split(b"\r\n"))
        self._step = None
        return end + 4

    def _keep(self, data: bytes, start: int, limit: int) -> None:
        """Wait for the rest of a line, unless no rest could make it right."""
        if len(data) - start >= limit:
            raise BadFraming("a line of a chunked body is too long")
        self._buffer = data[start:]
        if has_lone_line_feed(self._buffer):
            raise BadFraming("a line of a chunked body ends with a bare LF")


_Step = Callable[[ChunkedBody, bytes, int], int | None]
BodyReader = FixedBody | ChunkedBody | CloseDelimitedBody


def content_length(value: bytes) -> int:
    """Read a Content-Length: digits only (RFC 9110, section 8.6). Raises BadFraming."""
    if not value.isdigit() or len(value) > 18:  # noqa: PLR2004  # 18 digits stay below 2**63
        raise BadFraming("Content-Length is not a plain number")
    return int(value)


def has_lone_line_feed(data: bytes) -> bool:
    return b"\n" in data and _LONE_LF.search(data) is not None


def chunk(pieces: list[bytes]) -> list[bytes]:
    """Frame content as one chunk; no content gives no chunk, since an empty one would end the body."""
    content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return [b"%x\r\n" % len(content), content, b"\r\n"] if content else []


def last_chunk(trailers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"0\r\n%b\r\n" % b"".join(b"%b: %b\r\n" % field for field in trailers)


def _field(line: bytes) -> tuple[bytes, bytes]:
    field = _FIELD_LINE.fullmatch(line)
    if field is None:
        raise BadFraming("a trailer field is malformed")
    return field[1], field[2].rstrip(b" \t")
