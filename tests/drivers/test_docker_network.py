"""The network of an agent's containers, at an engine that stumbles when it is asked for it."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paas.docker.engine import DockerEngine, Refused
from paas.drivers.docker_network import TRIES, Network
from tests.docker_engine import engine_socket

STUMBLED = "route ip+net: no such network interface"  # as Podman 4.3 says it, with 500


@contextlib.asynccontextmanager
async def stumbling(front: Path, refusals: int, reason: str) -> AsyncIterator[None]:
    """Pass on to the real engine what is asked at `front`, after so many refusals to make a network."""
    left, engine = refusals, engine_socket()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        with contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            if left and b"/networks/create" in head.splitlines()[0]:
                left -= 1
                await reader.read(65536)  # the body, which is short
                writer.write(_refusal(reason))
                return
            there, back = await asyncio.open_unix_connection(engine)
            with contextlib.closing(back):
                back.write(head)
                async with asyncio.TaskGroup() as ways:
                    asking = ways.create_task(_copy(reader, back))
                    answering = ways.create_task(_copy(there, writer))
                    asking.add_done_callback(lambda _: answering.cancel())
                    answering.add_done_callback(lambda _: asking.cancel())

    async with asyncio.TaskGroup() as clients:  # each ends with its client or the engine

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            clients.create_task(answer(reader, writer))

        async with await asyncio.start_unix_server(serve, front):
            yield


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while some := await source.read(65536):
            sink.write(some)
            await sink.drain()


def _refusal(reason: str) -> bytes:
    body = json.dumps({"cause": reason, "message": reason, "response": 500}).encode()
    head = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def test_an_interface_that_went_meanwhile_is_no_reason_to_fail(tmp_path: Path) -> None:
    front = tmp_path / "engine.sock"
    async with stumbling(front, TRIES - 1, STUMBLED), DockerEngine(front) as engine:
        network = Network(engine, str(uuid.uuid4()))

        await network.make()

        try:
            assert await network.gateway()
        finally:
            await network.remove()


@pytest.mark.parametrize(("refusals", "reason"), [(TRIES, STUMBLED), (1, "all addresses are in use")])
async def test_another_refusal_and_a_lasting_one_are_told(tmp_path: Path, refusals: int, reason: str) -> None:
    front = tmp_path / "engine.sock"
    async with stumbling(front, refusals, reason), DockerEngine(front) as engine:
        network = Network(engine, str(uuid.uuid4()))

        with pytest.raises(Refused, match=rf"cannot make the network {network.name}: .*{reason[-10:]}"):
            await network.make()
