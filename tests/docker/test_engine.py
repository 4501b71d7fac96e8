"""Limits on what is asked of an engine that hangs."""

import asyncio
import time
from pathlib import Path

import pytest

from paas.core.errors import Unavailable
from paas.docker.engine import PULSE_SECS, DockerEngine
from tests.docker_engine import engine_socket
from tests.drivers.engine_front import Request, in_front_of

ANSWER_SECS = 0.5


async def test_a_long_call_whose_limits_all_end_at_once_is_unavailable(tmp_path: Path) -> None:
    front = tmp_path / "engine.sock"
    greeted = asyncio.Event()

    async def answer(request: Request) -> None:
        if greeted.is_set():
            await request.reader.read()  # until the client gives up
            return
        await request.pass_on()

    async def hang() -> None:
        async with engine.asked("wait for it", more_secs=PULSE_SECS + 0.1):
            greeted.set()
            # The process is not run while first the pulse and then the call itself come to their limits.
            asyncio.get_running_loop().call_later(PULSE_SECS + 0.2, time.sleep, ANSWER_SECS)
            await asyncio.Event().wait()

    async with (
        in_front_of(engine_socket(), front, answer),
        DockerEngine(front, answer_secs=ANSWER_SECS) as engine,
    ):
        with pytest.raises(Unavailable, match="did not answer"):
            await hang()
