"""Connections to ready tasks, kept for the next request, never shared between tasks."""

import asyncio
import os
import socket
from collections.abc import Callable

from paas.proxy.limits import ProxyLimits
from paas.proxy.opening import Opening
from paas.proxy.sides import Asker
from paas.proxy.upstream import UpstreamConnection
from paas.routes import Upstream


class Pool:
    """Idle connections by task: a port may belong to another task tomorrow, so never by address."""

    def __init__(self, limits: ProxyLimits, tasks: asyncio.TaskGroup) -> None:
        self.limits = limits
        self.now = 0.0  # monotonic seconds, as coarse as the sweep that sets it
        self._tasks = tasks
        self._connecting: set[asyncio.Task[None]] = set()
        self._idle: dict[Upstream, list[UpstreamConnection]] = {}
        self._openings: dict[Upstream, Opening] = {}
        self._closed = False

    def take(self, upstream: Upstream) -> UpstreamConnection | None:
        """Take the connection used last: the others may age and close."""
        idle = self._idle.get(upstream)
        while idle:
            connection = idle.pop()
            if not connection.transport.is_closing():
                connection.reused = True
                return connection
        return None

    def put(self, connection: UpstreamConnection) -> None:
        """Keep a connection for the next request, or close it when its task takes none."""
        upstream = connection.upstream
        idle = self._idle.get(upstream)
        if idle is None:
            if upstream.withdrawn or self._closed:
                connection.transport.close()
                return
            idle = self._idle[upstream] = []
        if len(idle) >= self.limits.upstream_idle_connections:
            connection.transport.close()
            return
        connection.idle_since = self.now
        idle.append(connection)

    def connect(self, upstream: Upstream, asker: Asker) -> None:
        """Open a connection, when it is its turn; `asker` is told in a later turn of the loop."""
        connection = UpstreamConnection(self, upstream, asker)
        self.open(upstream, connection, connection.was_not_made)

    def open(self, upstream: Upstream, protocol: asyncio.Protocol, failed: Callable[[str], None]) -> None:
        """Connect a protocol, when it is its turn; `answered` must follow once if that succeeds."""
        opening = self._openings.get(upstream)
        if opening is None:
            opening = self._openings[upstream] = Opening()
        opening.enter(lambda: self._begin_to_connect(upstream, protocol, failed))

    def answered(self, upstream: Upstream) -> None:
        """Let the next one in, now that a new connection was heard from or is lost."""
        opening = self._openings.get(upstream)
        if opening is not None:
            opening.answered()
            if opening.is_idle():
                del self._openings[upstream]

    def forget(self, connection: UpstreamConnection) -> None:
        idle = self._idle.get(connection.upstream)
        if idle is not None and connection in idle:
            idle.remove(connection)

    def discard(self, upstream: Upstream) -> None:
        """Close what is idle to a task that takes no more requests."""
        for connection in self._idle.pop(upstream, ()):
            connection.transport.close()

    def is_empty(self) -> bool:
        return not any(self._idle.values())

    def sweep(self, now: float) -> None:
        """Close connections before the app would, which would lose a request sent at that moment."""
        self.now = now
        for upstream, idle in list(self._idle.items()):
            old = now - self.limits.upstream_idle_secs
            for connection in [each for each in idle if each.idle_since < old]:
                idle.remove(connection)
                connection.transport.close()
            if not idle:
                del self._idle[upstream]

    def close(self) -> None:
        self._closed = True
        for opening in self._openings.values():
            opening.close()
        for task in self._connecting:
            task.cancel()
        for upstream in list(self._idle):
            self.discard(upstream)

    def _begin_to_connect(
        self, upstream: Upstream, protocol: asyncio.Protocol, failed: Callable[[str], None]
    ) -> None:
        connecting = self._connect(upstream, protocol, failed, upstream.take_accepted())
        task = self._tasks.create_task(connecting, name="proxy.connect")
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(
        self,
        upstream: Upstream,
        protocol: asyncio.Protocol,
        failed: Callable[[str], None],
        accepted: socket.socket | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            if accepted is None:
                async with asyncio.timeout(self.limits.connect_secs):
                    accepted = await _connected(loop, upstream)
            await _hand_over(loop, protocol, accepted)
        except (OSError, TimeoutError) as error:
            number = error.errno if isinstance(error, OSError) else None
            reason = os.strerror(number) if number else "timed out"
            self.answered(upstream)
            # Told by the loop, so that a fault in the answer ends one request and not this group.
            loop.call_soon(failed, f"cannot connect to the app: {reason}")


async def _hand_over(
    loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, joined: socket.socket
) -> None:
    """Let a protocol have a connection.

    If it ends in this very moment, uvloop closes the descriptor without its socket object, which would
    later close whatever has the number by then: so the object lets go of it.
    """
    try:
        transport, _ = await loop.create_connection(lambda: protocol, sock=joined)
    except BaseException:
        joined.detach()
        raise
    if transport.is_closing():
        joined.detach()


async def _connected(loop: asyncio.AbstractEventLoop, upstream: Upstream) -> socket.socket:
    """Connect to a task on this machine, and nowhere else. Raises OSError.

    Where the network of containers was just removed, a plain socket would take the request of one of them
    to the next router, and to whoever answers at that address out there.
    """
    connection = socket.socket(socket.AF_INET6 if ":" in upstream.host else socket.AF_INET)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
        await loop.sock_connect(connection, (upstream.host, upstream.port))
    except BaseException:
        connection.close()
        raise
    return connection
