"""Heads of requests: what is read from them, and what the app gets. Pure.

llhttp judges every byte (RFC 9112's grammar: CRLF only, no folding, one kind of framing); here is
what remains.
"""

from functools import lru_cache

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from paas.proxy.fields import KNOWN, BadHead, Field, as_bad_head, kind_of, tokens, without
from paas.proxy.framing import BodyReader, ChunkedBody, FixedBody, content_length
from paas.proxy.wake_policy import Bystander, bystander
from paas.routes import Rules

LONGEST_REMEMBERED = 2048  # bytes of a head that an idle connection may hold
_LONGEST_CACHED = 256


class RequestHead:
    """One request's head, read and judged."""

    # Defaults stand in the class: most requests change few of them, and each of them costs.
    host = b""  # as the client wrote it
    has_host = False
    length = 0
    chunked = False
    upgrade = b""
    user_agent = b""
    via = b""
    close = False
    keep_alive = False
    expects_continue = False
    te_trailers = False
    connection_names: tuple[bytes, ...] = ()
    written = b""  # for the app, once `to_upstream` has made it
    name: str | None = None  # the host as the router knows it; None: malformed
    is_plain = False  # nothing but the head, and nothing in it that shapes the answer but its method
    _judged_by: Rules | None = None
    _kind: Bystander | None = None

    def __init__(self, method: bytes, target: bytes, minor: int, size: int) -> None:
        self.method = method
        self.target = target
        self.minor = minor  # of HTTP/1
        self.size = size  # in bytes, as received
        self.lines: list[bytes] = []  # name, ": ", value, CRLF of each field that goes on

    def has_body(self) -> bool:
        return self.chunked or self.length > 0

    def is_replayable(self) -> bool:
        """Say whether sending it twice does no harm: idempotent (RFC 9110, 9.2.2) and all in the head."""
        return not self.has_body() and self.method in _IDEMPOTENT

    def stays_open(self) -> bool:
        """Say whether the client wants another request on this connection."""
        return not self.close and (self.minor > 0 or self.keep_alive)

    def kind(self, rules: Rules) -> Bystander | None:
        """Say which kind of bystander sent it, by rules that never change; asked once for each."""
        if self._judged_by is not rules:
            self._kind = bystander(rules, self.method, self.target, self.user_agent)
            self._judged_by = rules
        return self._kind

    def body(self, trailer_limit: int) -> BodyReader | None:
        if self.chunked:
            return ChunkedBody(trailer_limit)
        return FixedBody(self.length) if self.length else None

    # How each special field is taken in; these raise BadHead or BadFraming.

    def note_user_agent(self, name: bytes, value: bytes) -> None:
        self.user_agent = value
        self.lines += (name, b": ", value, b"\r\n")

    def note_host(self, _name: bytes, value: bytes) -> None:
        if self.has_host:
            raise BadHead("there are two Host fields")
        self.host, self.has_host = value.rstrip(b" \t"), True

    def note_length(self, name: bytes, value: bytes) -> None:
        self.length = content_length(value.rstrip(b" \t"))
        self.lines += (name, b": ", value, b"\r\n")

    def note_transfer(self, _name: bytes, value: bytes) -> None:
        if self.chunked or value.strip().lower() != b"chunked":
            raise BadHead("the only Transfer-Encoding understood is chunked")
        self.chunked = True

    def note_upgrade(self, _name: bytes, value: bytes) -> None:
        self.upgrade = value

    def note_te(self, _name: bytes, value: bytes) -> None:
        self.te_trailers = b"trailers" in tokens(value)

    def note_via(self, _name: bytes, value: bytes) -> None:
        self.via += value + b", "

    def drop(self, _name: bytes, _value: bytes) -> None:
        pass

    def note_connection(self, _name: bytes, value: bytes) -> None:
        if value in _KEEP_ALIVE:
            self.keep_alive = True
            return
        names = tokens(value)
        self.close |= b"close" in names
        self.keep_alive |= b"keep-alive" in names
        self.connection_names += names

    def note_expectation(self, _name: bytes, value: bytes) -> None:
        if value.strip().lower() != b"100-continue":
            raise BadHead("the only expectation understood is 100-continue", 417)
        self.expects_continue = self.minor > 0


_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
_KEEP_ALIVE = frozenset({b"keep-alive", b"Keep-Alive"})
_NOTES = {
    Field.HOST: RequestHead.note_host,
    Field.LENGTH: RequestHead.note_length,
    Field.TRANSFER: RequestHead.note_transfer,
    Field.CONNECTION: RequestHead.note_connection,
    Field.UPGRADE: RequestHead.note_upgrade,
    Field.EXPECT: RequestHead.note_expectation,
    Field.TE: RequestHead.note_te,
    Field.VIA: RequestHead.note_via,
    Field.USER_AGENT: RequestHead.note_user_agent,
    Field.DROP: RequestHead.drop,
}
_KNOWN_NOTES = {name: _NOTES.get(kind) for name, kind in KNOWN.items()}
_VERSIONS = {b"HTTP/1.1": 1, b"HTTP/1.0": 0}


class RequestReader:
    """Reads the request heads of one connection with one llhttp parser.

    What a head says depends on its bytes alone, and a client tends to repeat itself: so the last one
    is remembered, and the same bytes give the same record. Where it leads is asked anew each time.
    """

    __slots__ = ("_head", "_last_raw", "_parser", "last", "plain_raw")

    def __init__(self) -> None:
        self._parser: HttpRequestParser | None = None
        self._head = _NO_REQUEST
        self._last_raw = b""
        self.last = _NO_REQUEST
        self.plain_raw = b""  # of the last head, if it is plain: so these bytes are a whole request

    def read(self, raw: bytes) -> RequestHead:
        """Read one whole head, from its first byte to its empty line. Raises BadHead."""
        if raw == self._last_raw:
            return self.last
        words = raw[: raw.find(b"\r\n")].split(b" ")
        if len(words) != 3 or words[2] not in _VERSIONS:  # noqa: PLR2004  # method, target, version
            raise _bad_request_line(words)
        head = self._head = RequestHead(words[0], words[1], _VERSIONS[words[2]], len(raw))
        if head.method == b"CONNECT":
            raise BadHead("CONNECT is not offered here", 405)
        parser = self._parser
        if parser is None:
            parser = self._parser = HttpRequestParser(self)
        try:
            parser.feed_data(raw)
        except HttpParserUpgrade:
            self._parser = None
        except HttpParserError as error:
            raise as_bad_head(error) from error
        finally:
            self._head = _NO_REQUEST
        if head.length or head.chunked:
            self._parser = None  # it waits for the body, which `framing` reads
        _settle(head)
        if len(raw) <= LONGEST_REMEMBERED:
            self.last, self._last_raw = head, raw
            self.plain_raw = raw if head.is_plain else b""
        return head

    def on_header(self, name: bytes, value: bytes) -> None:
        try:
            note = _KNOWN_NOTES[name]
        except KeyError:
            note = _NOTES.get(kind_of(name))
        if note is None:
            self._head.lines += (name, b": ", value, b"\r\n")
        else:
            note(self._head, name, value)


def to_upstream(head: RequestHead, forwarded: bytes) -> bytes:
    """Write the head that the app gets. `forwarded` holds our lines that are the same for the client."""
    if head.written:
        return head.written
    lines = head.lines
    if head.connection_names:
        lines = without(lines, head.connection_names)
    end = b"\r\n"
    if head.chunked:
        end = b"Transfer-Encoding: chunked\r\n\r\n"
    if head.expects_continue and head.has_body():
        end = b"Expect: 100-continue\r\n" + end
    if head.te_trailers:
        end = b"TE: trailers\r\n" + end
    if head.upgrade:
        end = b"Connection: Upgrade\r\nUpgrade: %b\r\n%b" % (head.upgrade, end)
    head.written = b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%bX-Forwarded-Host: %b\r\nVia: %b1.%d paas\r\n%b" % (
        head.method,
        head.target,
        head.host,
        b"".join(lines),
        forwarded,
        head.host,
        head.via,
        head.minor,
        end,
    )
    return head.written


@lru_cache(maxsize=4096)
def _short_host_name(host: bytes) -> str | None:
    name, colon, port = host.partition(b":")
    if host.startswith(b"["):
        name, _, rest = host[1:].partition(b"]")
        colon, port = rest[:1], rest[1:]
        if rest and colon != b":":
            return None
    if (colon and not (port.isdigit() or not port)) or name.translate(None, _HOST_BYTES):
        return None
    return name.decode("ascii").lower().removesuffix(".") or None


_HOST_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:"


def host_name(host: bytes) -> str | None:
    """Reduce a Host field to the name the router knows: lower case, no port, no last dot; None: malformed."""
    return _short_host_name(host) if len(host) <= _LONGEST_CACHED else None


def _settle(head: RequestHead) -> None:
    """Judge what only the whole head can tell. Raises BadHead."""
    if head.minor and not head.has_host:
        raise BadHead("there is no Host field")
    if head.chunked and (not head.minor or head.length):
        raise BadHead("its length is ambiguous")
    if head.target[:1] != b"/":
        _settle_target(head)
    if head.upgrade and (not head.minor or b"upgrade" not in head.connection_names or head.has_body()):
        head.upgrade = b""
    head.name = host_name(head.host)
    head.is_plain = head.minor > 0 and not (
        head.close or head.has_body() or head.expects_continue or head.upgrade
    )


def _settle_target(head: RequestHead) -> None:
    """Turn an absolute target into a path, its host into Host (RFC 9112, section 3.2.2)."""
    if head.target == b"*" and head.method == b"OPTIONS":
        return
    scheme, separator, rest = head.target.partition(b"://")
    if not separator or scheme.lower() not in _SCHEMES:
        raise BadHead("its target is neither a path nor a URL")
    end = min((at for at in map(rest.find, _AUTHORITY_ENDS) if at >= 0), default=len(rest))
    head.host, path = rest[:end], rest[end:]
    if not head.host or b"@" in head.host:
        raise BadHead("its target has no plain host")
    head.target = path if path[:1] == b"/" else b"/" + path


def _bad_request_line(words: list[bytes]) -> BadHead:
    if words[-1].startswith(b"HTTP/") and words[-1] not in _VERSIONS:
        return BadHead("only HTTP/1.0 and HTTP/1.1 are spoken here", 505)
    return BadHead("its first line is not a request line")


_SCHEMES = frozenset({b"http", b"https"})
_AUTHORITY_ENDS = (b"/", b"?", b"#")
_NO_REQUEST = RequestHead(b"", b"", 1, 0)
