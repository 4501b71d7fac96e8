"""The reading side of a client's connection: what pauses it, that it has ended, and who left meanwhile."""

import asyncio

from paas.proxy import peer

# Why nothing is read from the client. Plain bits: an enum's cost shows on the warm path.
FULL = 1  # enough is kept for later
WAITING = 2  # the app is not ready
APP_IS_FULL = 4
_ALL = FULL | WAITING | APP_IS_FULL


class Intake:
    """Reads as long as no reason speaks against it."""

    __slots__ = ("_is_probed", "_transport", "has_ended", "pauses")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._is_probed = False
        self.has_ended = False  # the client sends no more
        self.pauses = 0  # the reasons not to read

    def pause(self, reason: int) -> None:
        if not self.pauses and not self._transport.is_closing():
            self._transport.pause_reading()
        self.pauses |= reason

    def resume(self, reasons: int = _ALL) -> None:
        """Take reasons away; reading goes on once none is left."""
        was_paused, self.pauses = self.pauses, self.pauses & ~reasons
        if was_paused and not self.pauses and not self._transport.is_closing():
            self._transport.resume_reading()

    def needs_probe(self) -> bool:
        """Look for a client that left while nothing is read from it or written to it: if reset, drop it.

        True once at most: the client has ended its side, and only what is sent to it tells if it listens.
        """
        if not (self.has_ended or self.pauses) or self._transport.is_closing():
            return False
        state = peer.state(self._transport)
        if state is peer.TcpState.CLOSE:
            self._transport.abort()
        elif state is peer.TcpState.CLOSE_WAIT and not self._is_probed:
            self._is_probed = True
            peer.watch(self._transport)
            return True
        return False
