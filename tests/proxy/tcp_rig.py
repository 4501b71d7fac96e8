"""A proxy before an app that does not speak HTTP."""

import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

from paas.core.ids import AppId, DeploymentId
from paas.core.live import Live
from paas.proxy.limits import ProxyLimits
from paas.routes import Rules
from tests.proxy.ports import reserved_port
from tests.proxy.rig import DEPLOYMENT, AppSide, Line, Rig, running, until

RAW = Rules(speaks_http=False)


@dataclass
class Tcp:
    """A rig whose deployment has a port of the proxy's."""

    rig: Rig
    port: int

    async def connect(self, *, buffer_bytes: int | None = None) -> Line:
        was, self.rig.port = self.rig.port, self.port
        try:
            return await self.rig.connect(buffer_bytes=buffer_bytes)
        finally:
            self.rig.port = was

    def lead(self, deployment: DeploymentId = DEPLOYMENT) -> None:
        self.rig.router.route(deployment, AppId("app-1"), (), RAW)
        self.rig.router.route_port(deployment, self.port, takes=True)

    async def until_listening(self) -> None:
        await until(lambda: self.port in self.rig.proxy._tcp_ports._servers)

    def listens(self) -> bool:
        """Try to connect, and leave with a reset."""
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def live(self) -> Live:
        live = self.rig.router.live(DEPLOYMENT)
        assert live is not None
        return live


@contextlib.asynccontextmanager
async def tcp_running(limits: ProxyLimits | None = None) -> AsyncIterator[Tcp]:
    with reserved_port() as port:
        async with running(limits) as rig:
            made = Tcp(rig, port)
            made.lead()
            await made.until_listening()
            yield made


async def echo_bytes(side: AppSide) -> None:
    while data := await side.reader.read(65536):
        await side.send(data)
    await side.send(b"bye")
