"""A client of an app that does not speak HTTP: it waits for a ready task, and is joined to it.

The connection is the lease: as long as it is open, it keeps the app awake. Nothing is read of it
before its task is there, so what it sends early stays with its kernel, which bounds it.
"""

import asyncio
import logging
from collections.abc import Callable
from enum import StrEnum
from typing import cast

from paas.core.live import Refusal
from paas.proxy import peer
from paas.proxy.shared import Shared
from paas.proxy.tunnel import Tunnel
from paas.routes import Entry, Upstream, Waiter
from paas.tallies import CONNECTED

logger = logging.getLogger(__name__)

TOLD_EVERY_SECS = 60.0
MOST_RETRIES = 5  # of a connection that a task refused: nothing was sent, and news of its end may be late


class Turned(StrEnum):
    """Why a client was turned away; counted per deployment under these words."""

    REFUSED = "refused"  # the app cannot be started
    IMPATIENT = "out_of_patience"  # it did not wake in time
    CROWDED = "too_many_waiting"
    UNREACHABLE = "unreachable"  # its task accepted no connection


class TurnedAway:
    """Counts the clients turned away, and logs the reasons, each at most once in a while for a port."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._told: dict[tuple[int, Turned], float] = {}

    def note(self, port: int, entry: Entry, why: Turned, reason: str) -> None:
        shared = self._shared
        shared.router.count_refused(entry, why)
        now = shared.clock.monotonic()
        told = self._told.get((port, why))
        if told is None or now - told >= TOLD_EVERY_SECS:
            self._told[port, why] = now
            logger.warning(
                "Turned a client of port %d away: %s",
                port,
                reason,
                extra={"event": f"tcp.{why}", "deployment": entry.deployment_id, "port": port},
            )


class TcpClient(asyncio.Protocol):
    """One connection, from its accept until it is joined to a task; then it keeps the lease."""

    __slots__ = (
        "_early",
        "_entry",
        "_eof",
        "_forget",
        "_gone",
        "_heard",
        "_port",
        "_shared",
        "_since",
        "_tries",
        "_turned_away",
        "_upstream",
        "_waiter",
        "_woken_at",
        "transport",
    )

    def __init__(
        self, shared: Shared, port: int, forget: Callable[["TcpClient"], None], turned_away: TurnedAway
    ) -> None:
        self._shared = shared
        self._port = port
        self._forget = forget
        self._turned_away = turned_away
        self.transport: asyncio.Transport
        self._early = b""
        self._eof = False
        self._gone = False
        self._heard = True  # nothing is owed to the pool
        self._tries = 0
        self._since = 0.0
        self._woken_at: float | None = None  # monotonic
        self._entry: Entry
        self._upstream: Upstream | None = None  # counted in the router as long as it is set
        self._waiter: Waiter | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface of asyncio's, and not its classes.
        self.transport = cast(asyncio.Transport, transport)
        self._prepare(self.transport)
        # uvloop begins to read after this call, even if it is told in here not to.
        asyncio.get_running_loop().call_soon(self._begin)

    def data_received(self, data: bytes) -> None:
        self._early += data  # one read at most, before `_begin`

    def eof_received(self) -> bool:
        self._eof = True
        return True  # it may wait for what the app has to say

    def connection_lost(self, _exc: Exception | None) -> None:
        self._gone = True
        self._leave_room()
        self._give_back()
        self._forget(self)

    # For the listener

    def close_if_idle(self) -> None:
        """Stay: nobody connects without wanting something."""

    def look_again(self, now: float) -> None:
        """End a wait that was too long, or whose client has left, which is not seen while nothing is read."""
        if self._gone or self.transport.is_closing():
            return
        if peer.state(self.transport) is peer.TcpState.CLOSE:
            self.transport.abort()
        elif self._waiter is not None and now - self._since > self._shared.limits.wake_patience_secs:
            self._turn_away(Turned.IMPATIENT, "the app did not wake in time")

    # The way to a task

    def _begin(self) -> None:
        if self._gone or self.transport.is_closing():
            return
        if not self._eof:
            self.transport.pause_reading()
        entry = self._shared.router.ports.resolve(self._port)
        if entry is None:  # its listener is about to be closed
            peer.reset(self.transport)
            return
        self._entry = entry
        self._ask()

    def _ask(self) -> None:
        shared, entry = self._shared, self._entry
        upstream = shared.router.take(entry)
        if upstream is not None:
            self._use(upstream)
        elif entry.refusal is not None:
            self._turn_away(Turned.REFUSED, entry.refusal.reason)
        elif not shared.room.enter(entry, len(self._early)):
            self._turn_away(Turned.CROWDED, "too many connections wait for the app to wake")
        else:
            self._since = shared.clock.monotonic()
            self._waiter = shared.router.wait(entry, self._woken)

    def _woken(self, result: Upstream | Refusal) -> None:
        self._shared.room.leave(len(self._early))
        self._waiter = None
        self._woken_at = self._shared.clock.monotonic()
        if not isinstance(result, Refusal):
            self._use(result)
            return
        leads_to = self._shared.router.ports.resolve(self._port)
        if leads_to is None or leads_to is self._entry:
            self._turn_away(Turned.REFUSED, result.reason)
        else:  # another version took the port over meanwhile
            self._entry = leads_to
            self._ask()

    def _use(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._shared.pool.open(upstream, _AppSide(self, upstream), self._connect_failed)

    def join(self, app: asyncio.Transport, upstream: Upstream) -> None:
        """Take the connection to the task, and let bytes flow both ways."""
        pool = self._shared.pool
        if self._gone or self.transport.is_closing():
            pool.answered(upstream)
            app.abort()
            return
        self._heard = False
        self._forget(self)
        self._prepare(app)
        for transport in (self.transport, app):
            peer.watch(transport)
        tunnel = Tunnel(self.transport, app, self._tunnel_ended, upstream.tally, self._note_first_bytes)
        self._shared.tunnels.add(tunnel)
        upstream.tally.answers[CONNECTED] += 1
        if self._early:
            upstream.tally.bytes_in += len(self._early)
            app.write(self._early)
            self._early = b""
        if self._eof:
            tunnel.client_has_ended()
        else:
            self.transport.resume_reading()

    def _connect_failed(self, reason: str) -> None:
        if self._gone:
            return
        self._tries += 1
        if self._tries > MOST_RETRIES:
            self._turn_away(Turned.UNREACHABLE, reason)
            return
        # A task that has just ended is about to be withdrawn; the next try then wakes a fresh one.
        asyncio.get_running_loop().call_later(self._shared.limits.retry_pause_secs, self._retry)

    def _retry(self) -> None:
        if not self._gone:
            self._give_back()
            self._ask()

    def _turn_away(self, why: Turned, reason: str) -> None:
        """Close with a reset, the only way to say no without speaking the app's language."""
        self._leave_room()
        self._give_back()
        self._turned_away.note(self._port, self._entry, why, reason)
        peer.reset(self.transport)

    def _tunnel_ended(self, tunnel: Tunnel) -> None:
        self._shared.forget_tunnel(tunnel)
        self._note_answer()
        self._give_back()

    def _note_first_bytes(self) -> None:
        self._note_answer()
        if self._woken_at is not None:
            now = self._shared.clock.monotonic()
            self._shared.router.note_first_byte(self._entry, now - self._woken_at)

    def _note_answer(self) -> None:
        if not self._heard and self._upstream is not None:
            self._heard = True
            self._shared.pool.answered(self._upstream)

    def _prepare(self, transport: asyncio.Transport) -> None:
        high = self._shared.limits.buffer_bytes
        transport.set_write_buffer_limits(high=high, low=high // 4)

    def _leave_room(self) -> None:
        if self._waiter is not None:
            self._waiter.cancel()
            self._waiter = None
            self._shared.room.leave(len(self._early))

    def _give_back(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            self._shared.router.give_back(upstream)


class _AppSide(asyncio.Protocol):
    """A connection to a task at its first moment: it is joined at once, since the app may speak first."""

    __slots__ = ("_client", "_upstream")

    def __init__(self, client: TcpClient, upstream: Upstream) -> None:
        self._client = client
        self._upstream = upstream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._client.join(cast(asyncio.Transport, transport), self._upstream)
