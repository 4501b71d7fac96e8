"""A real engine behind a socket of the test's own, where it may meddle with what is asked."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked, of which the engine does not know yet."""

    head: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    engine: Path

    @property
    def target(self) -> str:
        return self.head.split(None, 2)[1].decode()

    async def pass_on(self, *, is_answered: bool = False) -> None:
        """Let the engine answer; without the head of its answer where the client has one already."""
        there, back = await asyncio.open_unix_connection(self.engine)
        with contextlib.closing(back):
            back.write(self.head)
            if is_answered:
                await there.readuntil(END_OF_HEAD)
            async with asyncio.TaskGroup() as ways:
                asking = ways.create_task(_copy(self.reader, back))
                answering = ways.create_task(_copy(there, self.writer))
                asking.add_done_callback(lambda _: answering.cancel())
                answering.add_done_callback(lambda _: asking.cancel())

    async def answer(self) -> bytes:
        """Let the engine answer what has no body, and give that, so that it can be told later."""
        there, back = await asyncio.open_unix_connection(self.engine)
        with contextlib.closing(back):
            back.write(self.head)
            return await there.read()


Answer = Callable[[Request], Awaitable[None]]


@contextlib.asynccontextmanager
async def in_front_of(engine: Path, front: Path, answer: Answer) -> AsyncIterator[None]:
    """Let `answer` decide what becomes of each request that comes to the socket `front`."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            try:
                head = await reader.readuntil(END_OF_HEAD)
            except (asyncio.IncompleteReadError, ConnectionError):
                return  # it gave up before it had asked
            await answer(Request(head, reader, writer, engine))

    async with asyncio.TaskGroup() as clients:  # each ends with its client or the engine

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            clients.create_task(hear(reader, writer))

        async with await asyncio.start_unix_server(serve, front):
            yield


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while some := await source.read(65536):
            sink.write(some)
            await sink.drain()
