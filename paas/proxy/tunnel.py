"""Connections that carry no HTTP (any more): bytes both ways, as they come, until both sides have ended."""

import asyncio
from collections.abc import Callable

from paas.proxy.peer import TcpState, reset, state
from paas.tallies import Tally


class Tunnel:
    """Joins two transports. Calls `ended` once, when both are closed, `heard` at the app's first bytes."""

    __slots__ = ("_client", "_ended", "_ends", "_open")

    def __init__(
        self,
        client: asyncio.Transport,
        app: asyncio.Transport,
        ended: Callable[["Tunnel"], None],
        tally: Tally,
        heard: Callable[[], None] | None = None,
    ) -> None:
        self._ended = ended
        self._open = 2
        self._client = _ClientEnd(self, client, app, tally)
        self._ends = (self._client, _AppEnd(self, app, client, tally, heard))
        for end in self._ends:
            end.transport.set_protocol(end)

    def client_has_ended(self) -> None:
        """Pass on that the client ended its side before the two were joined."""
        self._client.eof_received()

    def abort(self) -> None:
        for end in self._ends:
            end.transport.abort()

    def look_again(self) -> None:
        """Find a side that was reset after it had ended: no event tells."""
        for end in self._ends:
            if end.eof and not end.transport.is_closing() and state(end.transport) is TcpState.CLOSE:
                self.abort()
                return

    def half_closed(self) -> None:
        """Close both once neither has more to say."""
        if all(end.eof for end in self._ends):
            for end in self._ends:
                end.transport.close()

    def lost(self, peer: asyncio.Transport, *, broken: bool) -> None:
        """End the other side the way this one ended, so that nobody takes a part for the whole."""
        if broken:
            reset(peer)
        else:
            peer.close()
        self._open -= 1
        if not self._open:
            self._ended(self)


class _End(asyncio.Protocol):
    __slots__ = ("_heard", "_paused_peer", "_peer", "_tally", "_tunnel", "eof", "transport")

    def __init__(
        self,
        tunnel: Tunnel,
        transport: asyncio.Transport,
        peer: asyncio.Transport,
        tally: Tally,
        heard: Callable[[], None] | None = None,
    ) -> None:
        self._tunnel = tunnel
        self.transport = transport
        self._peer = peer
        self._tally = tally
        self._heard = heard
        self._paused_peer = False
        self.eof = False

    def eof_received(self) -> bool:
        if not self.eof:
            self.eof = True
            if not self._peer.is_closing() and self._peer.can_write_eof():
                self._peer.write_eof()
            self._tunnel.half_closed()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._tunnel.lost(self._peer, broken=exc is not None)

    def pause_writing(self) -> None:
        if not self._peer.is_closing():
            self._paused_peer = True
            self._peer.pause_reading()

    def resume_writing(self) -> None:
        if self._paused_peer and not self._peer.is_closing():
            self._paused_peer = False
            self._peer.resume_reading()


class _ClientEnd(_End):
    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        self._tally.bytes_in += len(data)
        self._peer.write(data)


class _AppEnd(_End):
    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        if self._heard is not None:
            heard, self._heard = self._heard, None
            heard()
        self._tally.bytes_out += len(data)
        self._peer.write(data)
