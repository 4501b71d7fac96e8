"""The app's side: one connection to a ready task, and the responses that come on it."""

import asyncio
from typing import Protocol, cast

from paas.proxy.fields import BadHead
from paas.proxy.framing import BadFraming, BodyReader, CloseDelimitedBody
from paas.proxy.limits import ProxyLimits
from paas.proxy.response_heads import OK, SWITCHING, ResponseHead, ResponseReader
from paas.proxy.sides import Asker
from paas.routes import Upstream


class Keeper(Protocol):
    """Where a connection goes between two requests."""

    limits: ProxyLimits

    def put(self, connection: "UpstreamConnection") -> None: ...
    def forget(self, connection: "UpstreamConnection") -> None: ...
    def answered(self, upstream: Upstream) -> None:
        """Learn that a new connection was heard from, or is lost."""


class UpstreamConnection(asyncio.Protocol):
    """One connection to a task: one request at a time, and back into the pool if nothing is in doubt."""

    __slots__ = (
        "_asker",
        "_body",
        "_buffer",
        "_lasts",
        "_opener",
        "_paused",
        "_pool",
        "_reader",
        "_unanswered",
        "heard",
        "idle_since",
        "request_sent",
        "reused",
        "transport",
        "upstream",
    )

    def __init__(self, pool: Keeper, upstream: Upstream, opener: Asker | None = None) -> None:
        """Begin one that is not connected yet; `opener` is told once it is."""
        self._pool = pool
        self._opener = opener
        self.upstream = upstream
        self.transport: asyncio.Transport
        self._reader = ResponseReader()
        self._asker: Asker | None = None
        self._body: BodyReader | None = None
        self._buffer = b""  # an unfinished head
        self._lasts = False
        self._paused = False
        self._unanswered = True  # nothing was ever heard on it
        self.heard = False  # any byte of the response
        self.request_sent = False  # to its end
        self.reused = False
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface of asyncio's, and not its classes.
        self.transport = transport = cast(asyncio.Transport, transport)
        high = self._pool.limits.buffer_bytes
        transport.set_write_buffer_limits(high=high, low=high // 4)
        opener, self._opener = self._opener, None
        if opener is not None:
            opener.connected(self)

    def was_not_made(self, reason: str) -> None:
        opener, self._opener = self._opener, None
        if opener is not None:  # else it was, in the last moment, and its loss was told
            opener.connect_failed(reason)

    def send(self, asker: Asker, data: bytes, *, is_whole: bool) -> None:
        """Begin a request; unless `is_whole`, its body follows through `transport`."""
        self._asker = asker
        self.heard = False
        self.request_sent = is_whole
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        reader, asker = self._reader, self._asker
        if (
            len(data) == reader.plain_size
            and asker is not None
            and self._body is None
            and not self._buffer
            and self.request_sent
            and asker.method == reader.last_method
            and data.startswith(reader.last_raw)
        ):
            # A whole response with the last one's head: what `_read_head` would find out, since that
            # head ends at its first empty line, and only its bytes and the method decide its meaning.
            self._end_at_once(asker, reader.last, data[len(reader.last_raw) :])
            return
        if self._unanswered:
            self._note_answer()
        if asker is None:
            self.transport.abort()  # bytes that nobody asked for: an answer to come would be misread
            return
        self.heard = True
        try:
            if self._body is None:
                self._read_head(asker, data)
            else:
                self._read_body(asker, self._body, data)
        except (BadHead, BadFraming) as error:
            self._fail(f"the app's response is malformed: {error}")

    def eof_received(self) -> bool:
        asker = self._asker
        if asker is not None and isinstance(self._body, CloseDelimitedBody):
            self._release(lasts=False)
            asker.relay([], ())
        else:
            self._fail("the app closed the connection before its response was complete")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._unanswered:
            self._note_answer()
        self._pool.forget(self)
        self._fail(f"the connection to the app broke: {exc or 'closed'}")

    def pause_writing(self) -> None:
        if self._asker is not None:
            self._asker.app_is_full()

    def resume_writing(self) -> None:
        if self._asker is not None:
            self._asker.app_has_room()

    def pause(self) -> None:
        """Read no more of the response until `resume`."""
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def end_request(self) -> None:
        """End our side: nothing more will be asked here, the response may go on."""
        self._lasts = False
        if not self.transport.is_closing():
            self.transport.write_eof()

    def drop(self) -> None:
        """Close it at once; whoever asked hears nothing more."""
        self._asker = None
        self.transport.abort()

    def detach(self) -> asyncio.Transport:
        """Give the transport away, for a tunnel."""
        self._asker = None
        self.resume()
        return self.transport

    def _note_answer(self) -> None:
        self._unanswered = False
        self._pool.answered(self.upstream)

    def _read_head(self, asker: Asker, data: bytes) -> None:
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        while True:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4 or end > self._pool.limits.response_head_bytes:  # noqa: PLR2004  # not found
                if len(data) > self._pool.limits.response_head_bytes:
                    raise BadHead("its head is too large")
                self._buffer = data
                return
            head = self._reader.read(data[:end], asker.method)
            data = data[end:]
            if head.status >= OK:
                self._begin(asker, head, data)
                return
            if head.status == SWITCHING:
                asker.switch(head, self, data)
                return
            asker.inform(head)

    def _end_at_once(self, asker: Asker, head: ResponseHead, content: bytes) -> None:
        """Do what `_begin` and `_release` do for a plain head that came with exactly its body."""
        self._asker = None
        if self._paused:
            self.resume()
        self._pool.put(self)
        asker.respond_at_once(head, content)

    def _begin(self, asker: Asker, head: ResponseHead, data: bytes) -> None:
        reader = self._reader
        size = len(reader.last_raw) + len(data)
        if head is reader.last and size == reader.plain_size and self.request_sent:
            if data:
                reader.skip_body(data, head.length)
            self._end_at_once(asker, head, data)
            return
        self._lasts = head.connection_lasts()
        if not head.has_body(asker.method):
            self._release(lasts=not data)
            asker.respond(head, [], ())
            return
        body = head.body(self._pool.limits.head_bytes)
        reader.skip_body(data, head.length)
        pieces, rest = body.feed(data)
        if rest is None:
            self._body = body
            asker.respond(head, pieces, None)
        else:
            self._release(lasts=not rest)
            asker.respond(head, pieces, body.trailers)

    def _read_body(self, asker: Asker, body: BodyReader, data: bytes) -> None:
        pieces, rest = body.feed(data)
        if rest is None:
            asker.relay(pieces, None)
        else:
            self._release(lasts=not rest)
            asker.relay(pieces, body.trailers)

    def _release(self, *, lasts: bool) -> None:
        """End the exchange, before its end is told: the next request may want this connection."""
        self._asker = None
        self._body = None
        if lasts and self._lasts and self.request_sent:
            self.resume()
            self._pool.put(self)
        else:
            self.transport.abort()  # the response is whole; whatever the app did not read, it need not

    def _fail(self, reason: str) -> None:
        asker, self._asker = self._asker, None
        self.transport.abort()
        if asker is not None:
            asker.fail(reason, self)
