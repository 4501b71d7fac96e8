"""Images of a real registry with a password: pulled with the login that is kept, refused in words without."""

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import registry as registries
from tests.contract.docker_rig import DockerRig
from tests.docker_engine import busybox_layer, engine_socket, image_names, remove_images
from tests.harness import Agent, Json, running
from tests.registry import Registry
from tests.system.programs import ON_DEMAND_EXIT

CONFIG = {
    "Cmd": ["/bin/httpd", "-f", "-p", "8080", "-h", "/www"],
    "ExposedPorts": {"8080/tcp": {}},
    "StopSignal": "SIGKILL",  # busybox as the first process of a container ends on nothing else
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    agent: Agent
    registry: Registry
    socket: Path
    image: str  # in the registry, and not on this machine

    @property
    def engine(self) -> DockerRig:
        """Speak of the containers of this agent, which has its id with the first of them."""
        identity = self.agent.state / "agent-id"
        return DockerRig(self.socket, self.agent.state, agent_id=identity.read_text().strip())

    async def log_in(self, password: str | None = None) -> None:
        login = {"username": self.registry.username, "password": password or self.registry.password}
        answer = await self.agent.api("PUT", f"/api/v1/registries/{self.registry.host}", json=login)
        assert answer.status in (200, 201), answer.text

    async def deploy(self, **spec: Json) -> Json:
        """Deploy the image, and wait until it serves or failed."""
        app = await self.agent.app("private")
        begun = await self.agent.ask(
            "POST",
            f"/api/v1/apps/{app['id']}/deployments",
            json={"process_type": "docker", "image": self.image, "stop_grace_secs": 1, **spec},
            expect=201,
        )
        return await self.agent.settled(begun["id"])

    def remove_image(self) -> None:
        remove_images(self.socket, f"{self.registry.host}/")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with registries.running(tmp_path) as found:
        yield found


@pytest.fixture
async def rig(registry: Registry) -> AsyncIterator[Rig]:
    socket = engine_socket()
    image = registry.push(f"team/{uuid.uuid4().hex}", busybox_layer(), CONFIG)
    async with running(environment={"DOCKER_HOST": f"unix://{socket}"}) as agent:
        rig = Rig(agent=agent, registry=registry, socket=socket, image=image)
        try:
            yield rig
        finally:
            if agent.process is not None:
                agent.kill()
            if (agent.state / "agent-id").exists():  # it came as far as asking the engine
                rig.engine.clear()
            rig.remove_image()


async def test_image_is_pulled_with_the_login_that_is_kept(rig: Rig) -> None:
    await rig.log_in()

    deployed = await rig.deploy()

    assert deployed["status"] == "running", (deployed, rig.agent.log())
    assert (await rig.agent.get("private")).text == "hello\n"


async def test_without_a_login_it_says_where_to_log_in_and_the_old_version_serves(rig: Rig) -> None:
    await rig.agent.deploy("private", ON_DEMAND_EXIT)

    failed = await rig.deploy()

    assert failed["status"] == "failed"
    assert failed["reason"].startswith(f"cannot pull {rig.image}: ")
    assert f"paas registry login {rig.registry.host}" in failed["reason"]
    assert (await rig.agent.get("private")).status == 200
    await rig.log_in()
    assert (await rig.deploy())["status"] == "running"
    assert (await rig.agent.get("private")).text == "hello\n"


async def test_a_login_that_the_registry_refuses_is_named_without_its_password(rig: Rig) -> None:
    await rig.log_in("not-the-password")

    failed = await rig.deploy()

    assert failed["status"] == "failed"
    assert f"{rig.registry.host} refused the login as {rig.registry.username}" in failed["reason"]
    assert f"paas registry login {rig.registry.host}" in failed["reason"]
    assert "not-the-password" not in json.dumps(failed) + rig.agent.log()


async def test_a_logout_holds_from_the_next_pull_on(rig: Rig) -> None:
    await rig.log_in()
    assert (await rig.deploy())["status"] == "running"
    await rig.agent.ask("DELETE", f"/api/v1/registries/{rig.registry.host}", expect=204)

    assert (await rig.deploy(pull="always"))["status"] == "failed"
    assert (await rig.deploy())["status"] == "running", "the image is here"


async def test_a_wake_pulls_again_what_was_removed_meanwhile(rig: Rig) -> None:
    await rig.log_in()
    deployed = await rig.deploy(idle_timeout_secs=1)
    await rig.agent.until_asleep(deployed["id"])
    rig.engine.clear()
    rig.remove_image()
    assert image_names(rig.socket, rig.registry.host) == []

    assert (await rig.agent.get("private")).text == "hello\n"


async def test_an_image_that_the_registry_does_not_have_is_said_so(rig: Rig) -> None:
    await rig.log_in()

    failed = await rig.deploy(image=f"{rig.registry.host}/team/absent:1")

    assert failed["status"] == "failed"
    assert "team/absent" in failed["reason"]
    assert "registry login" not in failed["reason"]


async def test_the_password_of_a_pull_is_nowhere(rig: Rig) -> None:
    await rig.log_in()
    deployed = await rig.deploy()
    assert deployed["status"] == "running", (deployed, rig.agent.log())
    events = await rig.agent.api("GET", "/api/v1/events?limit=1000")
    containers = [rig.engine.inspect(task["id"]) for task in await rig.agent.tasks(deployed["id"])]
    rig.agent.kill()

    found = b"".join(path.read_bytes() for path in rig.agent.state.rglob("*") if path.is_file())
    assert rig.registry.password not in found.decode(errors="replace") + events.text + json.dumps(containers)
    assert rig.registry.host in json.dumps(containers), "the search does find what is there"
