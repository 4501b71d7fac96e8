"""A listener for each port that the router gives to an app; opened and closed as they come and go."""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable

from paas.routes import Ports

logger = logging.getLogger(__name__)

_BACKLOG = 1024
_AGAIN_SECS = 1.0  # a port that another program has is tried again


class TcpPorts:
    """Looks at what the router says now, never at what changed, so that nothing can be missed."""

    def __init__(self, ports: Ports, accept: Callable[[int], asyncio.Protocol]) -> None:
        self._ports = ports
        self._accept = accept
        self._servers: dict[int, asyncio.Server] = {}
        self._problems: dict[int, str] = {}
        self._changed = asyncio.Event()
        self._closed = False

    async def follow(self, host: str) -> None:
        """Keep listeners on `host` until cancelled."""
        self._ports.on_changed(self._changed.set)
        while not self._closed:
            self._changed.clear()
            await self._look(host)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_SECS if self._problems else None):
                    await self._changed.wait()

    def close(self) -> None:
        """Refuse new connections on all ports for good; those that are open go on."""
        self._closed = True
        for server in self._servers.values():
            server.close()
        self._servers.clear()
        self._changed.set()

    async def _look(self, host: str) -> None:
        wanted = self._ports.wanted()
        for port in self._servers.keys() - wanted:
            self._servers.pop(port).close()
        for port in self._problems.keys() - wanted:
            del self._problems[port]
        for port in wanted - self._servers.keys():
            await self._open(host, port)

    async def _open(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            self._note_problem(port, f"cannot listen on port {port}: {os.strerror(error.errno or errno.EIO)}")
            return
        server = await asyncio.get_running_loop().create_server(
            lambda: self._accept(port), sock=listener, backlog=_BACKLOG
        )
        if self._closed:
            server.close()
            return
        self._servers[port] = server
        if self._problems.pop(port, None) is not None:
            logger.info("Listening on port %d at last", port, extra={"event": "tcp.healed", "port": port})
        self._ports.note_problem(port, None)

    def _note_problem(self, port: int, problem: str) -> None:
        if self._problems.get(port) != problem:
            self._problems[port] = problem
            logger.warning("%s", problem, extra={"event": "tcp.not_listening", "port": port})
        self._ports.note_problem(port, problem)
