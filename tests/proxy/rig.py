"""A proxy before scripted apps: real sockets, a real router, and an engine of one function."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from paas.core.ids import AppId, DeploymentId, TaskId
from paas.core.live import Refusal
from paas.proxy.limits import ProxyLimits
from paas.proxy.listener import Proxy
from paas.router import Router
from paas.routes import Rules

HOST = "hello-default.localhost"
DEPLOYMENT = DeploymentId("deployment-1")
LIMIT_SECS = 10.0

Script = Callable[["AppSide"], Awaitable[None]]


class RealClock:
    """The time of this machine, and what a test lets pass at once."""

    def __init__(self) -> None:
        self.ahead_secs = 0.0

    def now(self) -> float:
        return time.time() + self.ahead_secs

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_secs

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def until(
    condition: Callable[[], bool], *, secs: float = LIMIT_SECS, pause_secs: float = 0.005
) -> None:
    """Wait until a condition holds; fails past the limit. With no pause it looks in each turn of the loop."""
    async with asyncio.timeout(secs):
        while not condition():  # noqa: ASYNC110  # it may be about sockets, which set no event
            await asyncio.sleep(pause_secs)


class Line:
    """One end of a TCP connection, with limits on every wait."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        if self.writer.transport.is_closing():
            raise ConnectionResetError("it was closed before")
        self.writer.write(data)
        async with asyncio.timeout(LIMIT_SECS):
            await self.writer.drain()

    async def read_until(self, mark: bytes) -> bytes:
        async with asyncio.timeout(LIMIT_SECS):
            return await self.reader.readuntil(mark)

    async def read_exactly(self, size: int) -> bytes:
        async with asyncio.timeout(LIMIT_SECS):
            return await self.reader.readexactly(size)

    async def read_to_end(self) -> bytes:
        async with asyncio.timeout(LIMIT_SECS):
            return await self.reader.read()

    async def read_head(self) -> bytes:
        return await self.read_until(b"\r\n\r\n")

    async def is_closed_by_peer(self) -> bool:
        try:
            return await self.read_to_end() == b""
        except ConnectionError:
            return True

    def end(self) -> None:
        """Send FIN, and stay to read."""
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.writer.transport.abort()


class AppSide(Line):
    """The app's end of a connection from the proxy."""

    async def read_request(self) -> tuple[bytes, bytes]:
        """Read a request with Content-Length or none: head and body."""
        head = await self.read_head()
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                return head, await self.read_exactly(int(value))
        return head, b""

    async def answer(self, body: bytes = b"hello", lines: bytes = b"") -> None:
        await self.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), lines, body))


class App:
    """A server whose connections follow a script; what it was sent is kept."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._server: asyncio.Server | None = None
        self.port = 0
        self.connections: list[AppSide] = []
        self.ended: list[AppSide] = []  # whose script has ended, mostly because the proxy closed
        self.errors: list[BaseException] = []

    async def start(self, port: int = 0, *, buffer_bytes: int | None = None) -> None:
        listener = socket.create_server(("127.0.0.1", port))
        if buffer_bytes is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        self._server = await asyncio.start_server(self._serve, sock=listener, limit=2**20)
        self.port = listener.getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self.connections:
            connection.writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        side = AppSide(reader, writer)
        self.connections.append(side)
        try:
            await self._script(side)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the proxy or the test ended it, which the test looks at from the outside
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # shown by the rig's end
            self.errors.append(error)
        finally:
            self.ended.append(side)
            writer.close()


async def echo(side: AppSide) -> None:
    """Answer each request with its own head and body."""
    while True:
        head, body = await side.read_request()
        await side.answer(head + body)


def answers(raw: bytes) -> Script:
    """Make an app that answers each request with these bytes, whatever they are."""

    async def script(side: AppSide) -> None:
        while True:
            await side.read_request()
            await side.send(raw)

    return script


def answers_once(raw: bytes) -> Script:
    """Make an app that answers one request with these bytes, and closes."""

    async def script(side: AppSide) -> None:
        await side.read_request()
        await side.send(raw)

    return script


async def silent(side: AppSide) -> None:
    """Read everything and never answer."""
    while await side.reader.read(65536):
        pass


@dataclass
class Rig:
    router: Router
    proxy: Proxy
    clock: RealClock
    port: int
    pokes: list[DeploymentId]
    apps: list[App] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    on_poke: Callable[[], None] = lambda: None
    host: str = "127.0.0.1"
    _tasks_made: int = 0

    def route(self, rules: Rules | None = None, hosts: tuple[str, ...] = (HOST,)) -> None:
        self.router.route(DEPLOYMENT, AppId("app-1"), hosts, rules or Rules())

    async def serve(self, script: Script = echo, *, buffer_bytes: int | None = None) -> App:
        """Start an app and publish it as a ready task."""
        app = await self.start_app(script, buffer_bytes=buffer_bytes)
        self.publish(app.port)
        return app

    async def start_app(self, script: Script = echo, *, buffer_bytes: int | None = None) -> App:
        app = App(script)
        await app.start(buffer_bytes=buffer_bytes)
        self.apps.append(app)
        return app

    def new_task(self) -> TaskId:
        self._tasks_made += 1
        return TaskId(f"task-{self._tasks_made}")

    def publish(self, port: int, accepted: socket.socket | None = None) -> TaskId:
        task = self.new_task()
        self.router.publish(DEPLOYMENT, task, "127.0.0.1", port, accepted)
        return task

    def withdraw(self, task: TaskId) -> None:
        self.router.withdraw(DEPLOYMENT, task)

    def refuse(self, refusal: Refusal | None) -> None:
        self.router.refuse(DEPLOYMENT, refusal)

    def wakes_with(self, script: Script = echo) -> None:
        """Let each poke with demand publish one app, as the engine would."""
        starting: list[int] = []
        group = self._group

        async def wake() -> None:
            app = await self.start_app(script)
            self.publish(app.port)
            starting.clear()

        def on_poke() -> None:
            if self.waiting() and not starting and not self.router.published(DEPLOYMENT):
                starting.append(1)
                group.create_task(wake())

        self.on_poke = on_poke

    def waiting(self) -> int:
        return self.router.demand(DEPLOYMENT).waiting

    def in_flight(self) -> int:
        return self.router.demand(DEPLOYMENT).in_flight

    def last_used(self) -> float:
        return self.router.demand(DEPLOYMENT).last_used

    async def pass_time(self, seconds: float) -> None:
        """Let time pass at once, and wait until the proxy has looked at all that it ends."""
        self.clock.ahead_secs += seconds
        passed = self.clock.monotonic()
        await until(lambda: self.proxy._shared.now >= passed)
        await asyncio.sleep(0)  # a sweep looks in the turn after it

    async def connect(self, *, buffer_bytes: int | None = None) -> Line:
        connection = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        if buffer_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, (self.host, self.port))
        except OSError:
            connection.close()
            raise
        reader, writer = await asyncio.open_connection(sock=connection, limit=2**20)
        line = Line(reader, writer)
        self.lines.append(line)
        return line

    async def ask(self, request: bytes) -> bytes:
        """Send bytes on a connection of their own, and read until the proxy ends it."""
        line = await self.connect()
        await line.send(request)
        return await line.read_to_end()

    async def get(self, target: str = "/", lines: bytes = b"", *, method: str = "GET") -> bytes:
        start = f"{method} {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n".encode()
        return await self.ask(start + lines + b"\r\n")

    def check(self) -> None:
        """Fail if a script failed."""
        for app in self.apps:
            for error in app.errors:
                raise error

    _group: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup)


def request(*lines: bytes, target: bytes = b"/", method: bytes = b"GET", body: bytes = b"") -> bytes:
    """Write a request to the usual host."""
    head = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method, target, HOST.encode())
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def fields_of(answer: bytes) -> dict[str, str]:
    """Read the header fields of the (last) head, names in lower case."""
    head = answer.partition(b"\r\n\r\n")[0]
    pairs = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return {name.decode().lower(): value.decode().strip() for name, _, value in pairs}


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


@contextlib.asynccontextmanager
async def running(limits: ProxyLimits | None = None, *, host: str = "127.0.0.1") -> AsyncIterator[Rig]:
    """Run a proxy with one routed, sleeping deployment."""
    pokes: list[DeploymentId] = []
    holder: list[Rig] = []

    def poke(deployment: DeploymentId) -> None:
        pokes.append(deployment)
        for rig in holder:
            rig.on_poke()

    clock = RealClock()
    router = Router(clock, poke)
    async with asyncio.TaskGroup() as group:
        proxy = Proxy(router, clock, limits or ProxyLimits(sweep_secs=0.05))
        port = await proxy.start(host, 0)
        rig = Rig(router=router, proxy=proxy, clock=clock, port=port, pokes=pokes, host=host, _group=group)
        holder.append(rig)
        rig.route()
        try:
            yield rig
        finally:
            for line in rig.lines:
                line.writer.transport.abort()
            await proxy.close()
            for app in rig.apps:
                await app.stop()
            await asyncio.sleep(0)
    rig.check()
