"""When a started task may take traffic: it accepts connections, and answers well if it can be asked."""

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable

from paas.core.errors import StartFailed
from paas.core.model import Address
from paas.engine.fine_timer import FineTimer
from paas.engine.probes import Probe

AWAKE_FOR_SECS = 0.002  # a timer is late, and by then the code is cold
EAGER_SECS = 0.0001
EAGER_FOR_SECS = 0.01
QUICK_SECS = 0.001  # uvloop turns a shorter sleep into a busy spin
QUICK_FOR_SECS = 0.2
PATIENT_SECS = 0.005
CONNECT_SECS = 0.25  # where a container has just ended nobody answers at all, not even with a refusal
PROBE_EVERY_SECS = 0.02


async def until_ready(
    address: Address,
    *,
    timer: FineTimer,
    is_alone: Callable[[], bool],
    probe: Probe | None,
    timeout_secs: float,
    has_ended: Callable[[], bool],
    is_its_own: Callable[[], Awaitable[bool]],
) -> socket.socket | None:
    """Return once the task may take traffic. Raises StartFailed if it ends or takes too long.

    TCP accepted is enough only where there is no probe, and only if `is_its_own` says that it is
    the task that accepts: another program may have taken the port. Then the connection is returned, on
    which nothing was sent yet: a server that takes one at a time waits for what comes on it.

    `is_alone` says that nobody else waits for a start: only then is the processor not let go of at first.
    """
    last = "it did not listen"
    try:
        async with asyncio.timeout(timeout_secs):
            accepted = await _until_accepting(address, timer, is_alone, has_ended, is_its_own)
            if probe is None:
                return accepted
            accepted.close()
            while True:
                last = await probe(address)
                if not last:
                    return None
                _refuse_if(has_ended())
                await asyncio.sleep(PROBE_EVERY_SECS)
    except TimeoutError:
        raise StartFailed(f"not ready after {timeout_secs:g} s: {last} on port {address.port}") from None


async def _until_accepting(
    address: Address,
    timer: FineTimer,
    is_alone: Callable[[], bool],
    has_ended: Callable[[], bool],
    is_its_own: Callable[[], Awaitable[bool]],
) -> socket.socket:
    """Try to connect: eagerly for the programs that are up in a millisecond, then with more patience."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    probe = _Probe(loop, address)
    try:
        while not (await is_its_own() and await probe.connects()):
            _refuse_if(has_ended())
            waited = loop.time() - began
            if waited < AWAKE_FOR_SECS and is_alone():
                os.sched_yield()  # first of all, the program needs it
                await asyncio.sleep(0)
            elif waited < EAGER_FOR_SECS:
                await timer.sleep(EAGER_SECS)
            else:
                await asyncio.sleep(QUICK_SECS if waited < QUICK_FOR_SECS else PATIENT_SECS)
    except BaseException:
        probe.close()
        raise
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
        return bool(self.connection.getsockname() != self._target)

    def close(self) -> None:
        self.connection.close()


def _new_socket() -> socket.socket:
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)  # a task is on this machine or nowhere
    return connection


def _refuse_if(has_ended: bool) -> None:  # noqa: FBT001 - the name says what it is
    if has_ended:
        raise StartFailed("it ended before it was ready")
