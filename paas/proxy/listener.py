"""Sockets in: accepts clients within limits, keeps time for all of them, and drains."""

import asyncio
import contextlib
import socket
from typing import Protocol, cast

from paas.core.ports import Clock
from paas.proxy import pages, peer
from paas.proxy.downstream import Downstream
from paas.proxy.limits import ProxyLimits
from paas.proxy.pool import Pool
from paas.proxy.shared import Shared, WaitingRoom
from paas.proxy.tcp import TcpClient, TurnedAway
from paas.proxy.tcp_ports import TcpPorts
from paas.router import Router
from paas.tallies import CONNECTED, NONE

_SLICE = 500  # connections looked at in one turn of the loop, to stay below a millisecond
_BACKLOG = 1024


class Guest(Protocol):
    """An open connection that the listener keeps time for."""

    transport: asyncio.Transport

    def look_again(self, now: float) -> None: ...
    def close_if_idle(self) -> None: ...


class Proxy:
    """The way of all traffic to the apps. `start` and `close` frame its life."""

    def __init__(self, router: Router, clock: Clock, limits: ProxyLimits | None = None) -> None:
        self._limits = limits or ProxyLimits()
        self._clock = clock
        self._tasks = asyncio.TaskGroup()
        self._shared = Shared(
            router=router,
            clock=clock,
            limits=self._limits,
            pool=Pool(self._limits, self._tasks),
            room=WaitingRoom(self._limits),
        )
        self._turned_away = TurnedAway(self._shared)
        self._tcp_ports = TcpPorts(router.ports, self._accept_tcp)
        self._scope = contextlib.AsyncExitStack()
        self._servers: list[asyncio.Server] = []
        self._clients: set[Guest] = set()
        self._sweep_timer: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port: the one asked for, or a free one for 0. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        await self.start_on(listener)
        return int(listener.getsockname()[1])

    async def start_on(self, listener: socket.socket) -> None:
        """Accept from a socket that listens already, such as one handed over by systemd.

        The ports of apps that do not speak HTTP are opened on the host of the first.
        """
        if not self._servers:
            await self._scope.enter_async_context(self._tasks)
            self._shared.router.on_withdrawn(self._shared.pool.discard)
            host = str(listener.getsockname()[0])
            self._tasks.create_task(self._tcp_ports.follow(host), name="proxy.tcp_ports")
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(self._accept, sock=listener, backlog=_BACKLOG))

    def stop_listening(self) -> None:
        """Refuse new connections; those that are open go on."""
        for server in self._servers:
            server.close()
        self._tcp_ports.close()

    async def drain(self, timeout_secs: float) -> bool:
        """Stop listening and let open requests end. True: all did in time; what is left, `close` breaks."""
        await self._end_listening()
        self._shared.draining = True
        for client in list(self._clients):
            client.close_if_idle()
        try:
            async with asyncio.timeout(timeout_secs):
                while self._clients or self._shared.tunnels:
                    self._shared.left.clear()
                    await self._shared.left.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Break what is still open and free everything. Safe to repeat."""
        await self._end_listening()
        self._shared.pool.close()
        for client in list(self._clients):
            client.transport.abort()
        for tunnel in list(self._shared.tunnels):
            tunnel.abort()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
            self._sweep_timer = None
        await self._scope.aclose()

    async def _end_listening(self) -> None:
        self.stop_listening()
        await asyncio.sleep(0)  # who was accepted in this turn of the loop has a transport in the next

    def answered(self) -> dict[int, int]:
        """Count the answers given so far, by the first digit of their status."""
        total = self._shared.router.counting.totals()
        total.add(self._shared.nowhere.tally())
        return {
            digit: count for digit, count in enumerate(total.answers) if NONE < digit < CONNECTED and count
        }

    def open_connections(self) -> int:
        return len(self._clients) + len(self._shared.tunnels)

    def _accept(self) -> asyncio.Protocol:
        self._keep_time()
        if self.open_connections() >= self._limits.connections:
            return _TurnAway()
        client = Downstream(self._shared, self._forget)
        self._clients.add(client)
        return client

    def _accept_tcp(self, port: int) -> asyncio.Protocol:
        self._keep_time()
        if self.open_connections() >= self._limits.connections:
            return _Reset()
        client = TcpClient(self._shared, port, self._forget, self._turned_away)
        self._clients.add(client)
        return client

    def _forget(self, client: Guest) -> None:
        self._clients.discard(client)
        self._shared.left.set()

    def _keep_time(self) -> None:
        if self._sweep_timer is None:
            self._shared.now = self._shared.pool.now = self._clock.monotonic()
            self._schedule_sweep()

    def _schedule_sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep_timer = loop.call_later(self._limits.sweep_secs, self._sweep)

    def _sweep(self) -> None:
        """Look at everything that time may end. Runs only while there is something open."""
        now = self._shared.now = self._clock.monotonic()
        self._shared.pool.sweep(now)
        for tunnel in list(self._shared.tunnels):
            tunnel.look_again()
        # Not at once: who was accepted just before a timer has a transport only after it.
        asyncio.get_running_loop().call_soon(self._sweep_slice, list(self._clients), now)

    def _sweep_slice(self, clients: list[Guest], now: float) -> None:
        for client in clients[-_SLICE:]:
            client.look_again(now)
        del clients[-_SLICE:]
        if clients:
            asyncio.get_running_loop().call_soon(self._sweep_slice, clients, now)
        elif self._clients or self._shared.tunnels or not self._shared.pool.is_empty():
            self._schedule_sweep()
        else:
            self._sweep_timer = None


class _TurnAway(asyncio.Protocol):
    """Answers a connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface of asyncio's, and not its classes.
        stream = cast(asyncio.Transport, transport)
        stream.write(pages.not_now("too many connections are open").write(close=True))
        stream.close()


class _Reset(asyncio.Protocol):
    """Closes a connection that is one too many, where no answer would be understood."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer.reset(cast(asyncio.Transport, transport))
