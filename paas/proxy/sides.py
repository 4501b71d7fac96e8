"""What the three parts of an exchange know of each other: the client, the exchange, the app's connection."""

import asyncio
from typing import Protocol

from paas.proxy.response_heads import ResponseHead

Trailers = tuple[tuple[bytes, bytes], ...]


class Connection(Protocol):
    """A connection to a task, as the exchange that uses it sees it."""

    transport: asyncio.Transport
    heard: bool  # any byte of the response
    request_sent: bool  # to its end
    reused: bool  # it has carried another request before

    def send(self, asker: "Asker", data: bytes, *, is_whole: bool) -> None:
        """Begin a request; unless `is_whole`, its body follows through `transport`."""

    def pause(self) -> None:
        """Read no more of the response until `resume`."""

    def resume(self) -> None: ...

    def end_request(self) -> None:
        """End our side: nothing more will be asked here, the response may go on."""

    def drop(self) -> None:
        """Close it at once; whoever asked hears nothing more."""

    def detach(self) -> asyncio.Transport:
        """Give the transport away, for a tunnel."""


class Asker(Protocol):
    """Who waits for a response. Each call but the last may be followed by others."""

    method: bytes

    def connected(self, connection: Connection) -> None: ...
    def connect_failed(self, reason: str) -> None: ...
    def inform(self, head: ResponseHead) -> None: ...
    def respond(self, head: ResponseHead, pieces: list[bytes], trailers: Trailers | None) -> None:
        """Take the head and the content so far; `trailers` are None while the response goes on."""

    def respond_at_once(self, head: ResponseHead, content: bytes) -> None:
        """Take a whole response whose head it may have seen before: `head.plain` is set."""

    def relay(self, pieces: list[bytes], trailers: Trailers | None) -> None: ...
    def switch(self, head: ResponseHead, connection: Connection, rest: bytes) -> None: ...
    def fail(self, reason: str, connection: Connection) -> None:
        """Learn that the response will never be whole; the connection is gone."""

    def app_is_full(self) -> None: ...
    def app_has_room(self) -> None: ...


class Client(Protocol):
    """The side that asked."""

    transport: asyncio.Transport
    forwarded: bytes  # our header lines that are the same for all its requests

    def write(self, pieces: list[bytes]) -> int:
        """Send bytes, and say how many."""

    def body_is_pending(self) -> bool: ...
    def held_bytes(self) -> int:
        """Count what came along with the request."""

    def hold_body(self) -> None:
        """Leave the body with the client's kernel until there is somebody to read it."""

    def let_body_flow(self) -> None: ...
    def app_is_full(self) -> None: ...
    def app_has_room(self) -> None: ...
    def done(self, *, keep: bool) -> None:
        """Take the next request, or end the connection."""

    def abort(self) -> None:
        """Break the connection so that nobody can take what was sent for the whole."""

    def hand_over(self) -> tuple[asyncio.Transport, bytes]:
        """Give the connection to a tunnel, with what came after the request."""
