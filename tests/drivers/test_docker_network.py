"""The network of an agent's containers, at an engine that stumbles when it is asked for it."""

import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paas.docker.engine import DockerEngine, Refused
from paas.drivers.docker_network import TRIES, Network
from tests.docker_engine import engine_socket
from tests.drivers.engine_front import Request, in_front_of

STUMBLED = "route ip+net: no such network interface"  # as Podman 4.3 says it, with 500


@contextlib.asynccontextmanager
async def stumbling(front: Path, refusals: int, reason: str) -> AsyncIterator[None]:
    """Pass on to the real engine what is asked at `front`, after so many refusals to make a network."""
    left = refusals

    async def answer(request: Request) -> None:
        nonlocal left
        if not left or not request.target.endswith("/networks/create"):
            await request.pass_on()
            return
        left -= 1
        await request.reader.read(65536)  # the body, which is short
        request.writer.write(_refusal(reason))

    async with in_front_of(engine_socket(), front, answer):
        yield


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
