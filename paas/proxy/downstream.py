"""The client's side: one connection, its requests read strictly and answered in order."""

import asyncio
from collections.abc import Callable
from typing import cast

from paas.proxy import intake, pages, peer
from paas.proxy.exchange import Exchange
from paas.proxy.fields import BadHead
from paas.proxy.framing import BadFraming, BodyReader, has_lone_line_feed
from paas.proxy.intake import Intake
from paas.proxy.request_heads import RequestReader
from paas.proxy.shared import Shared

_JOINED_BYTES = 16 * 1024  # below it, one copy is cheaper than a second buffer to send


class Downstream(asyncio.Protocol):
    __slots__ = (
        "_body",
        "_buffer",
        "_exchange",
        "_flowing",
        "_forget",
        "_in_serve",
        "_intake",
        "_lingering",
        "_partial",
        "_reader",
        "_shared",
        "_since",
        "_write_paused",
        "forwarded",
        "transport",
    )

    def __init__(self, shared: Shared, forget: Callable[["Downstream"], None]) -> None:
        self._shared = shared
        self._forget = forget
        self.transport: asyncio.Transport
        self._intake: Intake
        self.forwarded = b""
        self._reader = RequestReader()
        self._buffer = b""  # read, and not yet looked at
        self._exchange: Exchange | None = None
        self._body: BodyReader | None = None  # of the request in hand, until its end was read
        self._flowing = False  # the body goes to the app as it comes
        self._in_serve = False
        self._lingering = False
        self._partial = False  # some of a head has come
        self._write_paused = False
        self._since = shared.now  # the last step forward; what that is depends on what we wait for

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface of asyncio's, and not its classes.
        self.transport = transport = cast(asyncio.Transport, transport)
        self._intake = Intake(transport)
        high = self._shared.limits.buffer_bytes
        transport.set_write_buffer_limits(high=high, low=high // 4)
        peername = transport.get_extra_info("peername")
        address = str(peername[0]).removeprefix("::ffff:") if peername else "unknown"
        self.forwarded = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: http\r\n" % address.encode()

    def data_received(self, data: bytes) -> None:
        if self._exchange is None:
            if data == self._reader.plain_raw and not (self._buffer or self._lingering or self._write_paused):
                # The last request once more, and nothing else: what `_serve` and `_start` would do, since
                # only the head's bytes decide what it says. Where it leads is asked anew.
                exchange = self._exchange = Exchange(self._shared, self, self._reader.last)
                exchange.begin()
            elif not self._lingering:
                self._serve(self._buffer + data if self._buffer else data)
        elif self._body is not None and self._flowing:
            self._since = self._shared.now
            self._read_body(self._exchange, self._body, data)
        else:
            self._keep_for_later(data)

    def eof_received(self) -> bool:
        self._intake.has_ended = True
        if self._exchange is None or (self._body is not None and self._flowing):
            self._lose_exchange()
            return False
        self._exchange.client_has_ended()
        return True  # it may still wait for its answer

    def connection_lost(self, _exc: Exception | None) -> None:
        self._lose_exchange()
        self._forget(self)

    def pause_writing(self) -> None:
        self._write_paused = True
        self._since = self._shared.now
        if self._exchange is not None:
            self._exchange.client_is_full()

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._exchange is not None:
            self._exchange.client_has_room()
        elif self._buffer and not self._in_serve:
            self._serve(self._buffer)

    # For the exchange

    def write(self, pieces: list[bytes]) -> int:
        size = sum(map(len, pieces))
        if len(pieces) == 1:
            self.transport.write(pieces[0])
        elif size < _JOINED_BYTES:
            self.transport.write(b"".join(pieces))
        else:
            self.transport.writelines(pieces)
        return size

    def body_is_pending(self) -> bool:
        return self._body is not None

    def held_bytes(self) -> int:
        return len(self._buffer)

    def hold_body(self) -> None:
        if self._body is not None:
            self._intake.pause(intake.WAITING)

    def let_body_flow(self) -> None:
        self._flowing = True
        self._since = self._shared.now
        data, self._buffer = self._buffer, b""
        if data and self._body is not None and self._exchange is not None:
            self._read_body(self._exchange, self._body, data)
        if self._body is not None and self._intake.has_ended:
            self._lose_exchange()
            self.transport.abort()
            return
        self._intake.resume(intake.WAITING | intake.FULL)

    def app_is_full(self) -> None:
        self._intake.pause(intake.APP_IS_FULL)

    def app_has_room(self) -> None:
        self._intake.resume(intake.APP_IS_FULL)
        self._since = self._shared.now

    def done(self, *, keep: bool) -> None:
        self._exchange = None
        self._since = self._shared.now
        if not keep or self._body is not None:
            self._close()
        elif not self._in_serve:
            if self._intake.pauses:
                self._intake.resume()
            if self._buffer:
                self._serve(self._buffer)
            elif self._intake.has_ended or self._shared.draining:
                self._close()

    def abort(self) -> None:
        peer.reset(self.transport)

    def hand_over(self) -> tuple[asyncio.Transport, bytes]:
        peer.watch(self.transport)
        self._intake.resume()
        self._exchange = None
        self._forget(self)
        return self.transport, self._buffer

    # For the listener

    def close_if_idle(self) -> None:
        if self._exchange is None and not self._lingering:
            self._close()

    def look_again(self, now: float) -> None:
        """Do what is due by time; called once a sweep."""
        limits = self._shared.limits
        waited = now - self._since
        exchange = self._exchange
        if self._lingering:
            if waited > limits.linger_secs:
                self.transport.abort()
        elif self._write_paused:
            if waited > limits.stalled_secs:
                self.abort()
        elif exchange is not None:
            if self._intake.needs_probe():
                exchange.probe()
            body_is_due = self._flowing and self._body is not None and not self._intake.pauses
            if body_is_due and waited > limits.stalled_secs:
                exchange.refuse(408, "the body did not arrive in time")
            else:
                exchange.look_again(now)
        elif self._buffer:
            if waited > limits.head_arrival_secs:
                self._refuse(408, "the head of the request did not arrive in time")
        elif waited > limits.idle_connection_secs:
            self._close()

    # Reading

    def _serve(self, data: bytes) -> None:
        """Answer the requests in `data` one after another, until one has to wait."""
        self._in_serve = True
        self._buffer = b""
        while data:
            if data.startswith(b"\r\n"):  # RFC 9112, section 2.2: empty lines before a request
                data = data[2:]
                continue
            if self._write_paused:
                self._keep_for_later(data)
                break
            end = data.find(b"\r\n\r\n") + 4
            if end < 4 or end > self._shared.limits.head_bytes:  # noqa: PLR2004  # not found
                self._await_head(data)
                break
            if not self._start(data[:end], data[end:]):
                break
            data, self._buffer = self._buffer, b""
            if not data and (self._intake.has_ended or self._shared.draining):
                self._close()
        self._in_serve = False

    def _start(self, raw: bytes, rest: bytes) -> bool:
        """Begin one request. True: it is answered already, and the next may begin."""
        if raw.count(b"\r\n") - 2 > self._shared.limits.header_count:
            self._refuse(431, "its head has too many fields")
            return False
        try:
            head = self._reader.read(raw)
        except BadHead as error:
            self._refuse(error.status, str(error))
            return False
        self._body = head.body(self._shared.limits.head_bytes)
        self._flowing = self._partial = False
        self._buffer = rest
        exchange = self._exchange = Exchange(self._shared, self, head)
        exchange.begin()
        return self._is_between_requests()

    def _is_between_requests(self) -> bool:
        return self._exchange is None and not self._lingering and not self.transport.is_closing()

    def _await_head(self, data: bytes) -> None:
        if len(data) > self._shared.limits.head_bytes:
            self._refuse(431, "its head is too large")
        elif has_lone_line_feed(data):
            self._refuse(400, "a line ends with a bare LF")
        else:
            if not self._partial:
                self._partial = True
                self._since = self._shared.now
            self._buffer = data

    def _read_body(self, exchange: Exchange, body: BodyReader, data: bytes) -> None:
        try:
            pieces, rest = body.feed(data)
        except BadFraming as error:
            exchange.refuse(400, str(error))
            return
        if rest is None:
            exchange.send_body(pieces, None, size=len(data))
        else:
            self._body = None
            self._buffer = rest
            exchange.send_body(pieces, body.trailers, size=len(data) - len(rest))

    def _keep_for_later(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > self._shared.limits.buffer_bytes:
            self._intake.pause(intake.FULL)

    # Ending

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what cannot be read as a request, and end the connection: nothing after it is certain."""
        page = pages.malformed(status, reason).write(close=True)
        self.transport.write(page)
        tally = self._shared.nowhere.tally()
        tally.answers[status // 100] += 1
        tally.bytes_out += len(page)
        self._lingering = True
        self._close()

    def _close(self) -> None:
        """End our side. A client that may still be sending is read on: else a reset outruns our answer."""
        must_linger = self._lingering or self._body is not None or bool(self._buffer)
        self._buffer = b""
        if self._intake.has_ended or not must_linger or self.transport.is_closing():
            self.transport.close()
            return
        self._lingering = True
        self._since = self._shared.now
        self._intake.resume()
        self.transport.write_eof()

    def _lose_exchange(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_is_gone()
