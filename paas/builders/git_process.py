"""Run git, and nothing of it afterwards: a session of its own that ends with whoever waits for it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from paas.core.records import dataclass
from paas.launching import children
from paas.launching.signals import RESET_SIGNALS

TAIL_BYTES = 8 * 1024  # kept of what it says on standard error
MEMORY_BYTES = 1024**3  # of each process; what is large in a repository is streamed
END_SECS = 5.0  # what was killed is gone long before, unless a disk hangs
# One that cannot be set is lower already. In blocks of 512 bytes, and in KiB.
LIMITED = """
ulimit -f "$1" 2>/dev/null || :
ulimit -d "$2" 2>/dev/null || :
shift 2
exec "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended: its exit code, and the last that it said on standard error."""

    code: int
    errors: str


async def run(
    command: tuple[str, ...], environment: Mapping[str, str], *, output: Path, file_bytes: int
) -> Ended:
    """Run a program to its end, its output in a file; no file it writes may become larger than `file_bytes`.

    When this returns, raises or is cancelled, no process of its session is left. Raises OSError.
    """
    loop = asyncio.get_running_loop()
    reader, writer = os.pipe()
    errors = children.file_of(reader)
    stream = asyncio.StreamReader()
    try:
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), errors)
        pid = _spawn(_limited(command, file_bytes), environment, output, writer)
    finally:
        os.close(writer)
    try:
        tail = await _tail(stream)  # ends when the last of its children has closed it
        await _until_ended(pid)
    except BaseException:
        await _end(pid, stream)
        raise
    finally:  # nothing is waited for here: a cancel would leave the process to nobody
        code = _reap(pid)
        transport.close()
    return Ended(code=code, errors=tail.decode("utf-8", "replace"))


def _limited(command: tuple[str, ...], file_bytes: int) -> tuple[str, ...]:
    """Set the limits before the program begins: what it starts first would not have them."""
    return ("/bin/sh", "-c", LIMITED, "sh", str(file_bytes // 512), str(MEMORY_BYTES // 1024), *command)


def _spawn(command: tuple[str, ...], environment: Mapping[str, str], output: Path, errors: int) -> int:
    return os.posix_spawn(
        command[0],
        command,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, errors, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=RESET_SIGNALS,
    )


async def _end(pid: int, stream: asyncio.StreamReader) -> None:
    """Kill what is left of the session, and wait until it is gone."""
    _kill(pid)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(END_SECS):
            await _until_ended(pid)
            await _tail(stream)


def _reap(pid: int) -> int:
    """Kill what is left of the session and give the exit code of its leader, which has ended.

    The leader is waited for last: until then its number can mean no other session.
    """
    _kill(pid)
    _, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


async def _tail(stream: asyncio.StreamReader) -> bytes:
    tail = b""
    while chunk := await stream.read(TAIL_BYTES):
        tail = (tail + chunk)[-TAIL_BYTES:]
    return tail


async def _until_ended(pid: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    pidfd = os.pidfd_open(pid)
    loop.add_reader(pidfd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
