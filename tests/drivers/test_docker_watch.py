"""How an agent follows an engine that takes its time."""

import asyncio
import dataclasses
from pathlib import Path

from tests.contract.docker_rig import DockerRig
from tests.drivers.engine_front import Request, in_front_of

SLOW_SECS = 2.0  # Podman has been seen to take 1.2


async def test_an_engine_that_is_slow_to_tell_its_version_is_followed_at_once(
    docker_rig: DockerRig, tmp_path: Path
) -> None:
    async def answer(request: Request) -> None:
        if request.target.endswith("/version"):
            await asyncio.sleep(SLOW_SECS)
        await request.pass_on()

    front = tmp_path / "engine.sock"
    async with (
        in_front_of(docker_rig.socket, front, answer),
        dataclasses.replace(docker_rig, socket=front).driver() as driver,
    ):
        assert await driver.survey() == {}
