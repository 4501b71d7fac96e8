"""Upgraded connections: bytes both ways, as they come, until both sides have ended."""

import asyncio
from collections.abc import Callable

from paas.tallies import Tally


class Tunnel:
    """Joins two transports. `ended` is called once, when both are closed."""

    __slots__ = ("_ended", "_ends", "_open")

    def __init__(
        self,
        client: asyncio.Transport,
        app: asyncio.Transport,
        ended: Callable[["Tunnel"], None],
        tally: Tally,
    ) -> None:
        self._ended = ended
        self._open = 2
        self._ends = (_ClientEnd(self, client, app, tally), _AppEnd(self, app, client, tally))
        for end in self._ends:
            end.transport.set_protocol(end)

    def abort(self) -> None:
        for end in self._ends:
            end.transport.abort()

    def half_closed(self) -> None:
        """Close both once neither has more to say."""
        if all(end.eof for end in self._ends):
            for end in self._ends:
                end.transport.close()

    def lost(self, peer: asyncio.Transport) -> None:
        peer.close()
        self._open -= 1
        if not self._open:
            self._ended(self)


class _End(asyncio.Protocol):
    __slots__ = ("_paused_peer", "_peer", "_tally", "_tunnel", "eof", "transport")

    def __init__(
        self, tunnel: Tunnel, transport: asyncio.Transport, peer: asyncio.Transport, tally: Tally
    ) -> None:
        self._tunnel = tunnel
        self.transport = transport
        self._peer = peer
        self._tally = tally
        self._paused_peer = False
        self.eof = False

    def eof_received(self) -> bool:
        self.eof = True
        if not self._peer.is_closing() and self._peer.can_write_eof():
            self._peer.write_eof()
        self._tunnel.half_closed()
        return True

    def connection_lost(self, _exc: Exception | None) -> None:
        self._tunnel.lost(self._peer)

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
        self._tally.bytes_out += len(data)
        self._peer.write(data)
