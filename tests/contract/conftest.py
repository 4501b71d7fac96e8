"""Each kind of driver, for the suite that every driver passes."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from paas.core.ports import Driver
from tests.contract.docker_rig import DockerRig
from tests.contract.fake_rig import FakeRig
from tests.contract.native import KINDS, native_rig, open_root
from tests.contract.rigs import Rig
from tests.docker_engine import engine_socket

__all__ = ["open_root"]


@pytest.fixture(params=(*KINDS, "docker", "fake"))
def rig(request: pytest.FixtureRequest, open_root: Path) -> Iterator[Rig]:
    match request.param:
        case "fake":
            yield FakeRig()
        case "docker":
            docker = DockerRig(engine_socket(), open_root)
            yield docker
            docker.clear()
        case kind:
            yield native_rig(kind, open_root)


@pytest.fixture
async def driver(rig: Rig) -> AsyncIterator[Driver]:
    async with rig.driver() as driver:
        yield driver
        for task_id in await driver.survey():
            await driver.forget(task_id)
