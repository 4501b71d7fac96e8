"""How databases are asked whether they take requests: real sockets, and answers that real ones give."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from paas.core.model import Address
from paas.core.spec import Networking
from paas.engine.probes import probe_for

STARTING_UP = b"E\0\0\0\x3bSFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
NO_SUCH_USER = b"E\0\0\0\x2fSFATAL\0VFATAL\0C28000\0Mno such user\0\0"
ASKS_PASSWORD = b"R\0\0\0\x0c\0\0\0\x05abcd"


@asynccontextmanager
async def answering(answer: bytes, heard: list[bytes]) -> AsyncIterator[Address]:
    async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1024))
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(answer_one, "127.0.0.1", 0)
    async with server:
        yield Address(host="127.0.0.1", port=server.sockets[0].getsockname()[1])


@pytest.mark.parametrize(
    ("port", "answer", "is_well"),
    [
        (5432, STARTING_UP, False),
        (5432, b"", False),
        (5432, NO_SUCH_USER, True),
        (5432, ASKS_PASSWORD, True),
        (6379, b"-LOADING Redis is loading the dataset in memory\r\n", False),
        (6379, b"", False),
        (6379, b"+PONG\r\n", True),
        (6379, b"-NOAUTH Authentication required.\r\n", True),
    ],
)
async def test_the_usual_port_says_which_database_it_is(port: int, answer: bytes, *, is_well: bool) -> None:
    probe = probe_for(Networking(protocol="tcp"), port)
    heard: list[bytes] = []
    assert probe is not None

    async with answering(answer, heard) as address:
        said = await probe(address)

    assert (said == "") is is_well
    (question,) = heard
    if port == 5432:
        assert int.from_bytes(question[:4], "big") == len(question)
        assert question[4:8] == b"\0\x03\0\0"
    else:
        assert question == b"PING\r\n"


async def test_nobody_there_is_no_good_answer() -> None:
    for port in (5432, 6379):
        probe = probe_for(Networking(protocol="tcp"), port)
        assert probe is not None
        assert "could not be asked" in await probe(Address(host="127.0.0.1", port=1))


@pytest.mark.parametrize(
    ("networking", "port", "is_asked"),
    [
        (Networking(), 5432, False),
        (Networking(protocol="tcp"), 2222, False),
        (Networking(protocol="tcp", check="connect"), 5432, False),
        (Networking(protocol="tcp", check="postgresql"), 2222, True),
        (Networking(protocol="tcp", check="redis"), 5432, True),
        (Networking(health_path="/up"), 80, True),
    ],
)
def test_what_is_said_wins_over_the_port(networking: Networking, port: int, *, is_asked: bool) -> None:
    assert (probe_for(networking, port) is not None) is is_asked
