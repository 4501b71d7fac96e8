"""A native driver, as this machine lets it be; and one of containers, on a real engine."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from paas.drivers.docker import DockerDriver
from tests.contract.docker_rig import DockerRig
from tests.contract.native import driver, open_root, rig, start_and_die
from tests.docker_engine import engine_socket

__all__ = ["docker", "docker_rig", "driver", "open_root", "rig", "start_and_die"]


@pytest.fixture
def docker_rig(open_root: Path) -> Iterator[DockerRig]:
    rig = DockerRig(engine_socket(), open_root)
    yield rig
    rig.clear()


@pytest.fixture
async def docker(docker_rig: DockerRig) -> AsyncIterator[DockerDriver]:
    async with docker_rig.driver() as driver:
        yield driver
