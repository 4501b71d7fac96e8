"""Header fields: which pass between the two sides, which end here, and which need a look. Pure.

Hop-by-hop fields go (RFC 9110, section 7.6.1), and so does what only we may say.
"""

from enum import IntEnum

from httptools import HttpParserError

from paas.proxy.framing import BadFraming


class BadHead(ValueError):
    """A head that is malformed or ambiguous. `status` is what a client is told."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class Field(IntEnum):
    """What is done with a field; all others pass as they are."""

    PASS = 0
    HOST = 1
    LENGTH = 2
    TRANSFER = 3
    CONNECTION = 4
    UPGRADE = 5
    EXPECT = 6
    TE = 7
    VIA = 8
    USER_AGENT = 9
    DROP = 10


_SPECIAL = {
    b"host": Field.HOST,
    b"content-length": Field.LENGTH,
    b"transfer-encoding": Field.TRANSFER,
    b"connection": Field.CONNECTION,
    b"upgrade": Field.UPGRADE,
    b"expect": Field.EXPECT,
    b"te": Field.TE,
    b"via": Field.VIA,
    b"user-agent": Field.USER_AGENT,
    b"keep-alive": Field.DROP,
    b"proxy-connection": Field.DROP,
    b"proxy-authorization": Field.DROP,
    b"proxy-authenticate": Field.DROP,
    b"proxy-authentication-info": Field.DROP,
}
_OURS = frozenset({b"forwarded", b"x-real-ip", b"x-app-state", b"x-error-detail"})
_OUR_PREFIX = b"x-forwarded-"
# What a client may not have taken away by naming it in Connection.
_KEPT = frozenset({b"host", b"content-length", b"transfer-encoding", b"user-agent", b"via"})
_NEVER_TRAILERS = frozenset(_SPECIAL) | _OURS
_USUAL = (
    b"Accept",
    b"Accept-Encoding",
    b"Accept-Language",
    b"Accept-Ranges",
    b"Age",
    b"Authorization",
    b"Cache-Control",
    b"Content-Encoding",
    b"Content-Type",
    b"Cookie",
    b"DNT",
    b"Date",
    b"ETag",
    b"Etag",
    b"If-Modified-Since",
    b"If-None-Match",
    b"Last-Modified",
    b"Location",
    b"Origin",
    b"Pragma",
    b"Priority",
    b"Range",
    b"Referer",
    b"Sec-Fetch-Dest",
    b"Sec-Fetch-Mode",
    b"Sec-Fetch-Site",
    b"Sec-Fetch-User",
    b"Server",
    b"Set-Cookie",
    b"Upgrade-Insecure-Requests",
    b"Vary",
)
# From a name as it is usually written to its kind, without lowering it first.
KNOWN = (
    {name.title(): kind for name, kind in _SPECIAL.items()}
    | _SPECIAL
    | dict.fromkeys(_USUAL, Field.PASS)
    | dict.fromkeys((name.lower() for name in _USUAL), Field.PASS)
)


def kind_of(name: bytes) -> Field:
    """Classify a request's field name. A program may read `_` as `-` (CGI does): so ours go either way."""
    lower = name.lower()
    plain = lower.replace(b"_", b"-")
    if plain in _OURS or plain.startswith(_OUR_PREFIX):
        return Field.DROP
    return _SPECIAL.get(lower, Field.PASS)


def tokens(value: bytes) -> tuple[bytes, ...]:
    """Split a list of tokens, lower case, such as Connection's."""
    return tuple(token.strip().lower() for token in value.split(b",") if token.strip())


def without(lines: list[bytes], names: tuple[bytes, ...]) -> list[bytes]:
    """Leave out the fields that Connection named; `lines` holds four pieces a field."""
    dropped = frozenset(names) - _KEPT
    starts = (start for start in range(0, len(lines), 4) if lines[start].lower() not in dropped)
    return [piece for start in starts for piece in lines[start : start + 4]]


def passing_trailers(trailers: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
    """Keep the trailers that may not change how the message is read (RFC 9110, section 6.5.1)."""
    return tuple(field for field in trailers if _may_trail(field[0]))


def _may_trail(name: bytes) -> bool:
    return kind_of(name) is Field.PASS and name.lower() not in _NEVER_TRAILERS


def as_bad_head(error: HttpParserError) -> BadHead:
    """Say what llhttp found wrong, or what our own callback did."""
    cause = error.__context__
    if isinstance(cause, BadHead):
        return cause
    if isinstance(cause, BadFraming):
        return BadHead(str(cause))
    return BadHead(str(error).replace("`", "") or "it is malformed")
