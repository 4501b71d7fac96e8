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
from tests.harness import own_ports
from tests.podman_engine import make_network, podman_service

__all__ = ["open_root"]


@pytest.fixture(scope="session")
def podman() -> Iterator[Path]:
    with podman_service() as socket:
        yield socket


@pytest.fixture(params=(*KINDS, "docker", "podman", "fake"))
def rig(request: pytest.FixtureRequest, open_root: Path) -> Iterator[Rig]:
    match request.param:
        case "fake":
            yield FakeRig()
        case "docker":
            docker = DockerRig(engine_socket(), open_root)
            yield docker
            docker.clear()
        case "podman":
            podman = DockerRig(request.getfixturevalue("podman"), open_root)
            make_network(podman.socket, podman.agent_id)
            yield podman
            podman.clear()
        case kind:
            yield native_rig(kind, open_root)


@pytest.fixture
def own_port() -> Iterator[int]:
    with own_ports() as (port, _):
        yield port


@pytest.fixture
async def driver(rig: Rig) -> AsyncIterator[Driver]:
    async with rig.driver() as driver:
        yield driver
        for task_id in await driver.survey():
            await driver.forget(task_id)
