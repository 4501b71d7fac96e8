"""What a container writes, from where an earlier copy stopped, as the engine's own log of it has it.

The engine stamps each entry with nanoseconds, and can be asked for what came at a time or after it. Two
entries may have the same stamp, and those of the two streams may be stored slightly out of order, so the
cursor says for each stream which stamp was last taken, and how many entries with it.

The request is HTTP/1.0: the engine then sends its frames as they are, where HTTP/1.1 would wrap each
line in a chunk of its own, which costs more to read than all the rest.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlencode

from paas.core.errors import Unavailable
from paas.drivers.docker_frames import Entries, since

ANSWER_SECS = 10.0
BUFFER_BYTES = 64 * 1024  # what is read ahead; beyond it the engine waits, and keeps its own copy
SLICE_BYTES = 16 * 1024  # taken apart in well under a millisecond
LONGEST_REASON_BYTES = 4096
_CANNOT = "cannot read what a container writes"


async def output(socket: Path, container: str, after: str) -> AsyncGenerator[tuple[str, bytes], None]:
    """Yield what a container wrote after a cursor ("": from its start), each piece with the cursor after it.

    Ends when the container has ended and all was given, or when it is gone. Raises Unavailable when the
    engine cannot be asked or breaks off; the last cursor is where to go on then.
    """
    cursor = after
    async with contextlib.aclosing(_entries(socket, container, cursor, follow=True)) as followed:
        async for cursor, content in followed:
            yield cursor, content
    # That ends with the container, but also with some faults of the engine's.
    if await _lives(socket, container):
        raise Unavailable(f"{_CANNOT}: the Docker engine at {socket} broke off")
    async with contextlib.aclosing(_entries(socket, container, cursor, follow=False)) as rest:
        async for cursor, content in rest:
            yield cursor, content


async def _entries(
    socket: Path, container: str, after: str, *, follow: bool
) -> AsyncGenerator[tuple[str, bytes], None]:
    wanted = {"follow": int(follow), "stdout": 1, "stderr": 1, "timestamps": 1, "since": since(after)}
    entries = Entries(after)
    async with _answer(socket, f"/containers/{quote(container)}/logs?{urlencode(wanted)}") as (
        status,
        reader,
    ):
        if status == HTTPStatus.NOT_FOUND:
            return
        await _refuse_unless_fine(status, reader)
        while received := await reader.read(BUFFER_BYTES):
            content = await _take(entries, received)
            if content:
                yield entries.cursor(), content
        if rest := entries.rest():
            yield entries.cursor(), rest


async def _take(entries: Entries, received: bytes) -> bytes:
    pieces = []
    for start in range(0, len(received), SLICE_BYTES):
        if start:
            await asyncio.sleep(0)  # others have their turn, however much is written
        pieces.append(entries.take(received[start : start + SLICE_BYTES]))
    return b"".join(pieces)


async def _lives(socket: Path, container: str) -> bool:
    async with _answer(socket, f"/containers/{quote(container)}/json") as (status, reader):
        if status == HTTPStatus.NOT_FOUND:
            return False
        await _refuse_unless_fine(status, reader)
        async with asyncio.timeout(ANSWER_SECS):
            return bool(json.loads(await reader.read())["State"]["Running"])


async def _refuse_unless_fine(status: int, reader: asyncio.StreamReader) -> None:
    if status != HTTPStatus.OK:
        async with asyncio.timeout(ANSWER_SECS):
            reason = (await reader.read(LONGEST_REASON_BYTES)).decode("utf-8", "replace").strip()
        raise Unavailable(f"{_CANNOT}: the Docker engine answers {status}: {reason}")


@contextlib.asynccontextmanager
async def _answer(socket: Path, target: str) -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
    """Ask the engine, and give the status and the body of its answer. Raises Unavailable."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(ANSWER_SECS):
            reader, writer = await asyncio.open_unix_connection(str(socket), limit=BUFFER_BYTES)
            writer.write(f"GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
        yield int(head.split(None, 2)[1]), reader
    except (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError, ValueError, IndexError) as error:
        cause = str(error) or type(error).__name__
        raise Unavailable(f"{_CANNOT}: the Docker engine at {socket} broke off: {cause}") from error
    finally:
        if writer is not None:
            writer.transport.abort()
