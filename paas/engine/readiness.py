"""When a started task may take traffic: it accepts connections, or its health path answers well."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from paas.core.errors import StartFailed
from paas.core.model import Address
from paas.engine.ticks import ticking

EAGER_SECS = 0.0001
EAGER_FOR_SECS = 0.01
QUICK_SECS = 0.001  # uvloop turns a shorter sleep into a busy spin
QUICK_FOR_SECS = 0.2
PATIENT_SECS = 0.005
CONNECT_SECS = 0.25  # where a container has just ended nobody answers at all, not even with a refusal
HEALTH_EVERY_SECS = 0.02
HEALTH_TIMEOUT_SECS = 5.0
LONGEST_STATUS_LINE = 256


async def until_ready(
    address: Address,
    *,
    health_path: str | None,
    timeout_secs: float,
    has_ended: Callable[[], bool],
    is_its_own: Callable[[], Awaitable[bool]],
) -> socket.socket | None:
    """Return once the task may take traffic. Raises StartFailed if it ends or takes too long.

    TCP accepted is enough only where no health path is set, and only if `is_its_own` says that it is
    the task that accepts: another program may have taken the port. Then the connection is returned, on
    which nothing was sent yet: a server that takes one at a time waits for what comes on it.
    """
    last = "it did not listen"
    try:
        async with asyncio.timeout(timeout_secs):
            accepted = await _until_accepting(address, has_ended, is_its_own)
            if health_path is None:
                return accepted
            accepted.close()
            while True:
                last = await _health(address, health_path)
                if not last:
                    return None
                _refuse_if(has_ended())
                await asyncio.sleep(HEALTH_EVERY_SECS)
    except TimeoutError:
        raise StartFailed(f"not ready after {timeout_secs:g} s: {last} on port {address.port}") from None


async def _until_accepting(
    address: Address, has_ended: Callable[[], bool], is_its_own: Callable[[], Awaitable[bool]]
) -> socket.socket:
    """Try to connect: eagerly for the programs that are up in a millisecond, then with more patience."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    with contextlib.ExitStack() as on_failure:
        probe = _Probe(loop, address)
        on_failure.callback(probe.close)
        async with ticking(EAGER_SECS) as ticks:
            while loop.time() - began < EAGER_FOR_SECS:
                await ticks.next()
                if await probe.connects() and await is_its_own():
                    on_failure.pop_all()
                    return probe.connection
                _refuse_if(has_ended())
        while not (await probe.connects() and await is_its_own()):
            _refuse_if(has_ended())
            await asyncio.sleep(QUICK_SECS if loop.time() - began < QUICK_FOR_SECS else PATIENT_SECS)
        on_failure.pop_all()
    return probe.connection


class _Probe:
    """Tries to connect, with the same socket after each plain refusal: Linux lets it, and it is cheaper."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address) -> None:
        self._loop = loop
        self._target = (address.host, address.port)
        self._is_spent = False
        self.connection = _new_socket()

    async def connects(self) -> bool:
        """Say whether somebody accepts a new connection: `connection`, until this is asked again."""
        if self._is_spent:
            self.close()
            self.connection = _new_socket()
        self._is_spent = True
        outcome = self.connection.connect_ex(self._target)
        if outcome == errno.EINPROGRESS:
            outcome = self.connection.connect_ex(self._target)  # on loopback the answer is there already
        if outcome == errno.EALREADY:
            try:
                async with asyncio.timeout(CONNECT_SECS):
                    await self._loop.sock_connect(self.connection, self._target)
            except (OSError, TimeoutError):
                return False
        elif outcome:
            self._is_spent = outcome != errno.ECONNREFUSED
            return False
        # A port nobody listens on may connect to itself (RFC 9293, simultaneous open).
        return bool(self.connection.getsockname() != self.connection.getpeername())

    def close(self) -> None:
        self.connection.close()


def _new_socket() -> socket.socket:
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.setblocking(False)
    return connection


def _refuse_if(has_ended: bool) -> None:  # noqa: FBT001 - the name says what it is
    if has_ended:
        raise StartFailed("it ended before it was ready")


async def _health(address: Address, path: str) -> str:
    """Ask the health path once; an empty answer means well, else what is wrong."""
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_SECS):
            reader, writer = await asyncio.open_connection(
                address.host, address.port, limit=LONGEST_STATUS_LINE
            )
            try:
                writer.write(
                    f"GET {path} HTTP/1.1\r\nHost: {address.host}:{address.port}\r\n"
                    "User-Agent: paas-health\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()
                )
                line = await reader.readuntil(b"\r\n")
            finally:
                writer.transport.abort()
    except TimeoutError:
        return f"{path} did not answer within {HEALTH_TIMEOUT_SECS:g} s"
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        return f"{path} could not be asked: {error}"
    parts = line.split(None, 2)
    status = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
    if HTTPStatus.OK <= status < HTTPStatus.BAD_REQUEST:
        return ""
    return f"{path} answered {status}"
