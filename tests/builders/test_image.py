"""Images of a real engine, from a real registry with a password."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from paas.builders.image import ImageBuilder
from paas.core.errors import BadArchive, Unavailable
from paas.core.model import Built, Deployment
from paas.core.records import replace
from paas.core.spec import Spec
from paas.core.states import DeploymentState
from paas.docker.engine import DockerEngine
from paas.docker.images import Images, PullProgress
from tests.core.records import DEPLOYMENT
from tests.docker_engine import Image, ask_json, busybox_layer, engine_socket, load_image, remove_images, tar
from tests.registry import Registry, running

CONFIG = {"Cmd": ["/bin/sh"], "ExposedPorts": {"8081/tcp": {}, "9000/udp": {}}}


@dataclass(slots=True)
class Bench:
    """A builder over a real engine, with the credentials that a test gives it."""

    socket: Path
    registry: Registry
    login: tuple[str, str] | None
    asked_for: list[str] = field(default_factory=list)
    reports: list[PullProgress] = field(default_factory=list)

    async def build(self, image: str, **spec: str) -> Built:
        deployment = replace(
            DEPLOYMENT, state=DeploymentState.BUILDING, spec=Spec(process_type="docker", image=image)
        )
        deployment = replace(deployment, spec=replace(deployment.spec, **spec))  # type: ignore[arg-type]  # tests name fields
        async with DockerEngine(self.socket) as engine:
            builder = ImageBuilder(engine, Images(engine, self._credentials), self._report)
            return await builder.build(deployment, None)

    async def _credentials(self, host: str) -> tuple[str, str] | None:
        self.asked_for.append(host)
        return self.login

    async def _report(self, _deployment: Deployment, progress: PullProgress) -> None:
        self.reports.append(progress)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    socket = engine_socket()
    with running(tmp_path) as registry:
        bench = Bench(socket=socket, registry=registry, login=(registry.username, registry.password))
        yield bench
        remove_images(socket, f"{registry.host}/")


async def test_an_absent_image_is_pulled_and_named_by_digest(bench: Bench) -> None:
    layer = tar({"new": os.urandom(200_000)})  # so that the engine has to download it
    name = bench.registry.push("web", layer, CONFIG)

    built = await bench.build(name)

    assert built.image is not None
    assert built.image.startswith(f"{bench.registry.host}/web@sha256:")
    assert built.exposed_port == 8081
    assert built.command == ()
    assert bench.asked_for == [bench.registry.host]
    assert bench.reports[-1].done_bytes == bench.reports[-1].total_bytes > 0


async def test_a_present_image_is_not_pulled_again(bench: Bench) -> None:
    name = bench.registry.push("web", busybox_layer(), CONFIG)
    first = await bench.build(name)
    bench.registry.push("web", busybox_layer(), {**CONFIG, "Env": ["VERSION=2"]})

    second = await bench.build(name)
    third = await bench.build(name, pull="always")

    assert second == first
    assert third.image != first.image
    assert len(bench.asked_for) == 2


async def test_a_tag_that_moves_does_not_change_what_was_found(bench: Bench) -> None:
    name = bench.registry.push("web", busybox_layer(), CONFIG)
    first = await bench.build(name)
    assert first.image is not None
    bench.registry.push("web", busybox_layer(), {**CONFIG, "Env": ["VERSION=2"]})
    await bench.build(name, pull="always")

    again = await bench.build(first.image)

    assert again == first
    found = ask_json(bench.socket, "GET", f"/images/{first.image}/json")
    assert "VERSION=2" not in (found["Config"]["Env"] or ())


@pytest.mark.parametrize(
    ("login", "reason", "advice"),
    [
        (None, "no basic auth credentials", "if it is private, log in: paas registry login {host}"),
        (
            ("ci", "wrong"),
            "unauthorized|authentication required",
            "{host} refused the login as ci: paas registry login {host}",
        ),
    ],
)
async def test_a_private_image_needs_its_password(
    bench: Bench, login: tuple[str, str] | None, reason: str, advice: str
) -> None:
    name = bench.registry.push("private", busybox_layer(), CONFIG)
    bench.login = login

    with pytest.raises(BadArchive, match=reason) as refused:
        await bench.build(name)

    assert name in refused.value.message
    assert refused.value.message.endswith(advice.format(host=bench.registry.host))
    assert "wrong" not in refused.value.message


async def test_an_image_that_is_not_there_says_so(bench: Bench) -> None:
    with pytest.raises(BadArchive, match=r"manifest unknown|not found") as refused:
        await bench.build(f"{bench.registry.host}/nothing:1")

    assert "registry login" not in refused.value.message


async def test_a_registry_that_is_not_there_says_so(bench: Bench) -> None:
    with pytest.raises(BadArchive, match=r"no-such-host\.invalid"):
        await bench.build("no-such-host.invalid/web:1")


async def test_a_name_that_is_none_says_so(bench: Bench) -> None:
    with pytest.raises(BadArchive, match="invalid reference format"):
        await bench.build("UPPER CASE")


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (Image(name="paas-test/arm:1", config=CONFIG, architecture="arm64"), "made for arm64"),
        (Image(name="paas-test/mute:1", config={}), "neither a command nor an entry point"),
    ],
)
async def test_an_image_that_cannot_run_here_says_why(bench: Bench, image: Image, reason: str) -> None:
    load_image(bench.socket, image)

    with pytest.raises(BadArchive, match=reason) as refused:
        await bench.build(image.name)

    assert image.name in refused.value.message


async def test_a_local_image_is_named_by_its_id(bench: Bench) -> None:
    image = Image(name="paas-test/local:1", config={"Entrypoint": ["/bin/true"]})
    image_id = load_image(bench.socket, image)

    assert await bench.build(image.name) == Built(image=image_id)
    assert await bench.build(image_id) == Built(image=image_id)
    assert bench.asked_for == []


async def test_a_local_image_that_is_absent_gives_the_engine_s_reason(bench: Bench) -> None:
    with pytest.raises(BadArchive, match="no image with this id"):
        await bench.build("sha256:" + 64 * "1")


async def test_several_ports_are_none(bench: Bench) -> None:
    config = {"Cmd": ["/bin/sh"], "ExposedPorts": {"80/tcp": {}, "443/tcp": {}}}
    load_image(bench.socket, Image(name="paas-test/ports:1", config=config))

    assert (await bench.build("paas-test/ports:1")).exposed_port is None


async def test_an_absent_engine_is_said(bench: Bench, tmp_path: Path) -> None:
    bench.socket = tmp_path / "docker.sock"

    with pytest.raises(Unavailable, match="no Docker engine answers"):
        await bench.build("web")
