"""Spawn programs without a fork, and wait for them without a thread."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from io import FileIO
from pathlib import Path

from paas.launching.signals import RESET_SIGNALS

PLAIN_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
READ_SIZE = 256 * 1024


def spawn(command: Sequence[str], environment: Mapping[str, str], *, stdin: int | None, output: int) -> int:
    """Start a program in a session of its own, its errors among its output. Raises OSError."""
    source = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0) if stdin is None else _copied(stdin, 0)
    return os.posix_spawn(
        command[0],
        tuple(command),
        environment,
        file_actions=[source, _copied(output, 1), _copied(output, 2)],
        setsid=True,
        setsigmask=(),
        setsigdef=RESET_SIGNALS,
    )


async def until_ended(pid: int) -> None:
    """Wait for a child of ours, which stays to be reaped."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    pidfd = os.pidfd_open(pid)
    loop.add_reader(pidfd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def reap(pid: int) -> int:
    """Take the exit code of a child that has ended; minus the signal's number where one ended it."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def file_of(descriptor: int) -> FileIO:
    """Give the file that the running loop may close together with the pipe that it reads.

    uvloop closes the descriptor by itself before it closes the file, when a thread may already have opened
    something else under the same number: it gets a file that closes nothing.
    """
    closes = isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop)
    return FileIO(descriptor, "rb", closefd=closes)


@contextlib.asynccontextmanager
async def reading(descriptor: int) -> AsyncIterator[asyncio.StreamReader]:
    """Read a pipe, which is closed afterwards; not much more is taken from it than is asked for."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):  # more than this user may have
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, READ_SIZE)
    stream = asyncio.StreamReader(limit=READ_SIZE)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), file_of(descriptor)
    )
    try:
        yield stream
    finally:
        transport.close()


async def run(command: Sequence[str], *, kept_bytes: int = 4096) -> tuple[int, bytes]:
    """Run one of this system's own tools, by name or path; give its exit code and the end of what it said.

    A cancel kills it. Raises OSError.
    """
    program = shutil.which(command[0], path=PLAIN_ENVIRONMENT["PATH"]) or command[0]
    reader, writer = os.pipe()
    try:
        pid = spawn((program, *command[1:]), PLAIN_ENVIRONMENT, stdin=None, output=writer)
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    said = b""
    try:
        async with reading(reader) as stream:
            while chunk := await stream.read(READ_SIZE):
                said = (said + chunk)[-kept_bytes:]
        await until_ended(pid)
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        raise
    finally:
        code = reap(pid)
    return code, said


async def delete(*paths: Path) -> None:
    """Delete folders with all that is in them, however deep and whoever may write there. Raises OSError."""
    # What belongs to us may be in folders that forbid even us to write.
    mend = 'test "$(id -u)" = 0 || chmod -R u+rwX -- "$@" 2>/dev/null; exec rm -rf -- "$@"'
    code, said = await run(["/bin/sh", "-c", mend, "delete", *map(str, paths)])
    if code:
        raise OSError(f"cannot delete {paths[0]}: {said.decode('utf-8', 'replace').strip()}")


def _copied(descriptor: int, to: int) -> tuple[int, int, int]:
    return (os.POSIX_SPAWN_DUP2, descriptor, to)
