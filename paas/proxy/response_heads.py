"""Heads of responses: what is read from them, and what the client gets. Pure."""

import re
from functools import lru_cache

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from paas.proxy.fields import KNOWN, BadHead, Field, as_bad_head, kind_of, tokens, without
from paas.proxy.framing import (
    BodyReader,
    ChunkedBody,
    CloseDelimitedBody,
    FixedBody,
    content_length,
)

LONGEST_REMEMBERED = 2048  # bytes of a head that an idle connection may hold
LONGEST_JOINED = 16 * 1024  # bytes of content that cost less to join with their head than to write apart
CONTINUE, SWITCHING, OK, NO_CONTENT, NOT_MODIFIED = 100, 101, 200, 204, 304


class ResponseHead:
    """One response's head, read and judged. A head with a status below 200 announces another."""

    # Defaults stand in the class: most responses change few of them, and each of them costs.
    length: int | None = None
    chunked = False
    upgrade = b""
    via = b""
    close = False
    keep_alive = False
    connection_names: tuple[bytes, ...] = ()
    written = b""  # for the client, once `to_client` has made it
    written_for: tuple[bytes, bool] | None = None
    plain = b""  # the same, where it is its own bytes, our Via, and neither chunked nor closing

    def __init__(self, status: int, reason: bytes, minor: int) -> None:
        self.status = status
        self.reason = reason
        self.minor = minor  # of HTTP/1
        self.lines: list[bytes] = []  # name, ": ", value, CRLF of each field that goes on

    def has_body(self, method: bytes) -> bool:
        """Say whether content follows the head (RFC 9112, section 6.3)."""
        if method == b"HEAD" or self.status < OK or self.status in (NO_CONTENT, NOT_MODIFIED):
            return False
        return self.length != 0

    def body(self, trailer_limit: int) -> BodyReader:
        if self.chunked:
            return ChunkedBody(trailer_limit)
        return CloseDelimitedBody() if self.length is None else FixedBody(self.length)

    def connection_lasts(self) -> bool:
        """Say whether the app takes another request on this connection."""
        return not self.close and (self.minor > 0 or self.keep_alive)

    # How each special field is taken in; these raise BadHead or BadFraming.

    def note_length(self, name: bytes, value: bytes) -> None:
        if self.length is not None:
            raise BadHead("there are two Content-Length fields")
        self.length = content_length(value.rstrip(b" \t"))
        if self.status >= OK and self.status != NO_CONTENT:
            self.lines += (name, b": ", value, b"\r\n")

    def note_transfer(self, _name: bytes, value: bytes) -> None:
        if self.chunked or value.strip().lower() != b"chunked":
            raise BadHead("the only Transfer-Encoding understood is chunked")
        self.chunked = True

    def note_connection(self, _name: bytes, value: bytes) -> None:
        if value == b"keep-alive":
            self.keep_alive = True
            return
        names = tokens(value)
        self.close |= b"close" in names
        self.keep_alive |= b"keep-alive" in names
        self.connection_names += names

    def note_upgrade(self, _name: bytes, value: bytes) -> None:
        self.upgrade = value

    def note_via(self, _name: bytes, value: bytes) -> None:
        self.via += value + b", "

    def drop(self, name: bytes, value: bytes) -> None:
        if name.lower() in _OURS_TO_TELL:
            self.lines += (name, b": ", value, b"\r\n")


# Requests may not carry these; an app that answers with them may be a proxy itself.
_OURS_TO_TELL = frozenset({b"forwarded", b"x-real-ip", b"x-app-state", b"x-error-detail"})
_NOTES = {
    Field.LENGTH: ResponseHead.note_length,
    Field.TRANSFER: ResponseHead.note_transfer,
    Field.CONNECTION: ResponseHead.note_connection,
    Field.UPGRADE: ResponseHead.note_upgrade,
    Field.VIA: ResponseHead.note_via,
    Field.DROP: ResponseHead.drop,
}
_KNOWN_NOTES = {name: _NOTES.get(kind) for name, kind in KNOWN.items()}
_PLAIN_CONNECTION = frozenset({b"close", b"keep-alive", b"upgrade"})


class ResponseReader:
    """Reads the response heads of one connection with one llhttp parser.

    As with requests, the last one is remembered, and the same bytes give the same record.
    """

    __slots__ = (
        "_head",
        "_parser",
        "_remembered",
        "last",
        "last_method",
        "last_raw",
        "plain_size",
    )

    def __init__(self) -> None:
        self._parser: HttpResponseParser | None = None
        self._head = _NO_RESPONSE
        self.last = _NO_RESPONSE
        self.last_raw = self.last_method = b""
        self.plain_size = 0  # bytes of the last head with its whole body, if that is to be known
        self._remembered = False  # the head in hand, so that the parser has not seen it

    def read(self, raw: bytes, method: bytes) -> ResponseHead:
        """Read one whole head that answers a request with `method`. Raises BadHead."""
        self._remembered = raw == self.last_raw and method == self.last_method
        if self._remembered:
            return self.last
        head = self._head = _status_line(raw)
        parser = self._parser
        if parser is None:
            parser = self._parser = HttpResponseParser(self)
        try:
            parser.feed_data(raw)
        except HttpParserUpgrade:
            self._parser = None
        except HttpParserError as error:
            raise as_bad_head(error) from error
        finally:
            self._head = _NO_RESPONSE
        if head.chunked and (head.minor == 0 or head.length is not None):
            raise BadHead("its length is ambiguous")
        if head.chunked or method == b"HEAD" or head.length is None:
            self._parser = None  # it waits for a body that `framing` reads, or that never comes
        if len(raw) <= LONGEST_REMEMBERED:
            self.last, self.last_raw, self.last_method = head, raw, method
            self.plain_size = _plain_size(head, raw, method)
        return head

    def skip_body(self, body: bytes, length: int | None) -> None:
        """Let the parser be used again, if `body` is the whole body of the last head; else forget it."""
        if self._parser is not None and not self._remembered:
            if len(body) == length:
                self._parser.feed_data(body)
            else:
                self._parser = None

    def on_header(self, name: bytes, value: bytes) -> None:
        try:
            note = _KNOWN_NOTES[name]
        except KeyError:
            note = _NOTES.get(kind_of(name))
        if note is None:
            self._head.lines += (name, b": ", value, b"\r\n")
        else:
            note(self._head, name, value)


def to_client(head: ResponseHead, extra: bytes, *, chunked: bool) -> bytes:
    """Write the head that the client gets. `extra` holds whole lines of ours."""
    if head.written_for == (extra, chunked):
        return head.written
    lines = head.lines
    if head.connection_names and not _PLAIN_CONNECTION.issuperset(head.connection_names):
        lines = without(lines, head.connection_names)
    head.written_for = (extra, chunked)
    head.written = b"HTTP/1.1 %d %b\r\n%bVia: %b1.%d paas\r\n%b%b\r\n" % (
        head.status,
        head.reason,
        b"".join(lines),
        head.via,
        head.minor,
        extra,
        b"Transfer-Encoding: chunked\r\n" if chunked else b"",
    )
    return head.written


def _plain_size(head: ResponseHead, raw: bytes, method: bytes) -> int:
    """Measure head and body together, and write the plain head; 0 where more must be looked at."""
    if head.status < OK or not head.connection_lasts() or head.chunked:
        return 0
    length = head.length if head.has_body(method) else 0
    if length is None or length > LONGEST_JOINED:
        return 0
    head.plain = to_client(head, b"", chunked=False)
    return len(raw) + length


def _status_line(raw: bytes) -> ResponseHead:
    line = raw[: raw.find(b"\r\n")]
    status, reason, minor = (_usual_status if len(line) <= _LONGEST_CACHED else _read_status)(line)
    return ResponseHead(status, reason, minor)


def _read_status(line: bytes) -> tuple[int, bytes, int]:
    """Take a status line apart: status, reason, and the minor version. Raises BadHead."""
    found = _STATUS_LINE.fullmatch(line)
    if found is None:
        raise BadHead("it does not begin with a status line of HTTP/1")
    return int(found[2]), found[3] or b"", int(found[1])


_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: (.*))?", re.DOTALL)
_LONGEST_CACHED = 64
_usual_status = lru_cache(maxsize=64)(_read_status)  # there are few, and apps repeat them
_NO_RESPONSE = ResponseHead(0, b"", 1)
