"""Images from Dockerfiles, on a real engine."""

import asyncio
import contextlib
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from paas.builders.built_images import BuiltImages
from paas.builders.dockerfile import BuildLimits, DockerfileBuilder
from paas.core.builds import Build, BuildOptions, BuiltImage, Source
from paas.core.errors import BuildFailed, PaasError, Unavailable
from paas.core.ids import AppId, new_build_id
from paas.core.records import replace
from paas.core.states import BuildState
from paas.docker.engine import DockerEngine
from tests.contexts import BASE, fill, load_base
from tests.docker_engine import ask_json, engine_socket, kill_engine, new_run, start_engine, stop_engine
from tests.requirements import require_root
from tests.waiting import until

LIMITS = BuildLimits(
    secs=60,
    memory_bytes=128 * 1024**2,
    cpus=0.5,
    image_bytes=10**9,
)
AGENT = "11111111-aaaa"


@dataclass(slots=True)
class Heard:
    """What a build said and made."""

    lines: list[str] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)

    async def say(self, lines: Sequence[str]) -> None:
        self.lines += lines

    async def made(self, image_id: str) -> None:
        self.layers.append(image_id)

    @property
    def container(self) -> str | None:
        found = re.search(r"---> Running in ([0-9a-f]+)", "\n".join(self.lines))
        return None if found is None else found[1]


@dataclass(slots=True)
class Rig:
    """A builder of this test's own on a real engine."""

    socket: Path
    folder: Path
    agent: str
    limits: BuildLimits = LIMITS
    heard: Heard = field(default_factory=Heard)

    async def build(
        self, text: str, files: dict[str, str] | None = None, **options: Any
    ) -> tuple[Build, BuiltImage]:
        async with DockerEngine(self.socket) as engine:
            builder = DockerfileBuilder(engine, self.agent, self.limits)
            ended = await self.outcome(builder, text, files, **options)
        if isinstance(ended, PaasError):
            raise ended  # outside: the engine's group would wrap it
        return ended

    async def outcome(
        self, builder: DockerfileBuilder, text: str, files: dict[str, str] | None = None, **options: Any
    ) -> tuple[Build, BuiltImage] | PaasError:
        build = Build(
            id=new_build_id(),
            app_id=AppId("app"),
            state=BuildState.RUNNING,
            reason=None,
            source=Source(kind="archive"),
            options=BuildOptions(**options),
            environment="development",
            rollout=None,
            recipe=None,
            fingerprint=None,
            reused_build_id=None,
            artifact_id=None,
            image=None,
            image_id=None,
            image_bytes=None,
            deployment_id=None,
            created_at=0.0,
            started_at=0.0,
            ended_at=None,
            updated_at=0.0,
        )
        context, workspace = self.folder / f"{build.id}-source", self.folder / build.id
        workspace.mkdir()
        fill(context, {"Dockerfile": text, **(files or {})})
        try:
            made = await builder.build(
                build, name=f"paas/test:{build.id}", context=context, workspace=workspace, report=self.heard
            )
        except (BuildFailed, Unavailable) as error:
            return error
        return build, made

    async def tidy(self, *in_use: str, layers: Iterable[str] = ()) -> Sequence[str]:
        async def told() -> Iterable[str]:
            return in_use

        async with DockerEngine(self.socket) as engine:
            return await DockerfileBuilder(engine, self.agent, self.limits).tidy(layers, told)

    def images(self) -> list[Any]:
        """List what this builder has built, and the engine keeps."""
        filters = f'{{"label":["paas.agent={self.agent}","paas.build"]}}'
        return list(ask_json(self.socket, "GET", f"/images/json?filters={filters}"))

    def inspect(self, kind: str, name: str) -> Any:
        """Ask the engine itself; None where it is absent."""
        with contextlib.suppress(ValueError):
            return ask_json(self.socket, "GET", f"/{kind}/{name}/json")
        return None


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    socket = engine_socket()
    load_base(socket)
    rig = Rig(socket, tmp_path, f"{AGENT}-{tmp_path.name}-{new_build_id()}")
    yield rig
    rig.socket = socket
    for image in rig.images():
        with contextlib.suppress(ValueError):  # gone with one before it
            ask_json(socket, "DELETE", f"/images/{image['Id']}?force=1")


async def test_image_is_built_named_and_labelled(rig: Rig) -> None:
    dockerfile = f"{BASE}ARG COLOUR=red\nCOPY a.txt /data/\nRUN echo it is $COLOUR\nEXPOSE 1234\n"

    build, made = await rig.build(dockerfile, {"a.txt": "a"}, args={"COLOUR": "blue"})

    found = rig.inspect("images", made.id)
    assert made.name == f"paas/test:{build.id}"
    assert (found["RepoTags"], found["Size"]) == ([made.name], made.size_bytes)
    assert found["Config"]["Labels"] == {"paas.agent": rig.agent, "paas.build": build.id}
    assert "it is blue" in rig.heard.lines
    assert "Step 5/5 : EXPOSE 1234" in rig.heard.lines
    assert any(made.id.startswith(f"sha256:{layer}") for layer in rig.heard.layers)


async def test_stages_up_to_the_target_are_built(rig: Rig) -> None:
    await rig.build(f"FROM {BASE[5:-1]} AS first\nRUN echo one\n{BASE}RUN echo two\n", target="first")

    assert "one" in rig.heard.lines
    assert "two" not in rig.heard.lines


async def test_dockerfile_elsewhere_in_the_context_is_used(rig: Rig) -> None:
    await rig.build("FROM nothing\n", {"docker/web": f"{BASE}RUN echo here\n"}, dockerfile="docker/web")

    assert "here" in rig.heard.lines


async def test_ignored_files_do_not_come_to_the_engine(rig: Rig) -> None:
    files = {".dockerignore": "secret\nDockerfile\n", "secret": "s", "open": "o"}

    await rig.build(f"{BASE}COPY . /context/\nRUN ls -a /context\n", files)

    assert "open" in rig.heard.lines
    assert not {"secret", "Dockerfile"} & set(rig.heard.lines)


async def test_failure_names_the_step(rig: Rig) -> None:
    with pytest.raises(BuildFailed) as caught:
        await rig.build(f"{BASE}RUN true\nRUN echo oh; exit 7\nRUN true\n")

    assert caught.value.message == "step 3 of 4, RUN echo oh; exit 7: exit code 7"
    assert "oh" in rig.heard.lines
    assert rig.inspect("containers", str(rig.heard.container)) is None


@pytest.mark.parametrize(
    ("dockerfile", "words"),
    [
        ("FORM scratch\n", "unknown instruction: FORM"),
        ("", "cannot be empty"),
        (f"{BASE}COPY nothing /\n", "step 2 of 2, COPY nothing /: .*nothing"),
        ("FROM paas-test/absent:1\n", "step 1 of 1, FROM paas-test/absent:1: "),
    ],
)
async def test_faults_of_the_dockerfile_are_told_in_the_engines_words(
    rig: Rig, dockerfile: str, words: str
) -> None:
    with pytest.raises(BuildFailed, match=words):
        await rig.build(dockerfile)


async def test_cancel_ends_the_step_that_runs_within_its_limits(rig: Rig) -> None:
    async with asyncio.TaskGroup() as group:
        building = group.create_task(rig.build(f"{BASE}RUN echo begun; sleep 600\n"))
        await until(lambda: "begun" in rig.heard.lines)
        found = rig.inspect("containers", str(rig.heard.container))
        building.cancel()

    limits = found["HostConfig"]
    assert (limits["Memory"], limits["MemorySwap"]) == (LIMITS.memory_bytes, LIMITS.memory_bytes)
    assert limits["CpuQuota"] == limits["CpuPeriod"] * LIMITS.cpus
    assert found["Config"]["Env"] == ["PATH=/bin"], "nothing of the agent's environment"
    await until(lambda: rig.inspect("containers", found["Id"]) is None)


async def test_build_that_takes_too_long_is_ended_and_its_step_named(rig: Rig) -> None:
    rig.limits = replace(LIMITS, secs=3)

    with pytest.raises(BuildFailed, match=r"not done after 3 s, in step 2 of 2, RUN sleep 600"):
        await rig.build(f"{BASE}RUN sleep 600\n")

    await until(lambda: rig.inspect("containers", str(rig.heard.container)) is None)


async def test_image_that_is_too_large_is_not_kept(rig: Rig) -> None:
    rig.limits = replace(LIMITS, image_bytes=1000)

    with pytest.raises(BuildFailed, match=r"cannot keep the image: it has \d+ bytes, 1000 are allowed"):
        await rig.build(f"{BASE}RUN true\n")

    assert rig.images() == []


async def test_build_that_fills_the_disk_is_ended(rig: Rig) -> None:
    async with DockerEngine(rig.socket) as engine, engine.asked("see its folder") as docker:
        root = (await docker.system.info())["DockerRootDir"]
    free_bytes = shutil.disk_usage(root).free
    rig.limits = replace(LIMITS, free_bytes=free_bytes - 200 * 1024**2)

    with pytest.raises(BuildFailed, match=r"cannot build: only \d+ MiB are free in /"):
        await rig.build(f"{BASE}RUN busybox dd if=/dev/zero of=/data/zeros bs=1M count=500; sleep 600\n")

    await until(lambda: rig.inspect("containers", str(rig.heard.container)) is None)


async def test_engine_that_is_absent_is_told(rig: Rig) -> None:
    rig.socket = rig.folder / "nothing.sock"

    with pytest.raises(Unavailable, match="no Docker engine answers"):
        await rig.build(BASE)


async def test_images_go_once_nobody_uses_them(rig: Rig) -> None:
    old, old_image = await rig.build(f"{BASE}RUN echo old\n", no_cache=True)
    _, deployed = await rig.build(f"{BASE}RUN echo deployed\n", no_cache=True)
    young, young_image = await rig.build(f"{BASE}RUN echo young\n", no_cache=True)
    derived, _ = await rig.build(f"FROM {old_image.name}\nRUN echo derived\n", no_cache=True)
    ask_json(rig.socket, "POST", f"/images/{young_image.id}/tag?repo=paas-test/mine-{old.id}")

    gone = await rig.tidy(deployed.id, young.id, derived.id, layers=reversed(rig.heard.layers))

    assert rig.inspect("images", old_image.name) is None
    assert rig.inspect("images", deployed.name) is not None
    assert rig.inspect("images", young_image.name) is not None
    assert 0 < len(gone) < len(rig.heard.layers), "those below images that stay are still there"

    await rig.tidy(layers=reversed(rig.heard.layers))

    assert rig.inspect("images", deployed.name) is None
    assert rig.inspect("images", young_image.name) is None
    assert rig.inspect("images", f"paas-test/mine-{old.id}") is not None, "it has another's name"


async def test_all_images_of_an_agent_go_with_it_and_no_other(rig: Rig) -> None:
    _, ours = await rig.build(f"{BASE}RUN echo ours\n")

    async with DockerEngine(rig.socket) as engine:
        await BuiltImages(engine, "another").delete_all()
        assert rig.inspect("images", ours.name) is not None
        await BuiltImages(engine, rig.agent).delete_all()

    assert rig.inspect("images", ours.name) is None


async def test_what_a_failed_build_left_is_deleted(rig: Rig) -> None:
    with pytest.raises(BuildFailed):
        await rig.build(f"{BASE}RUN echo left\nRUN exit 1\n", no_cache=True)
    (layer,) = rig.heard.layers
    assert rig.inspect("images", layer) is not None

    assert await rig.tidy(layers=[layer]) == [layer]

    assert rig.inspect("images", layer) is None


async def test_engine_that_is_killed_fails_the_build_with_its_step_and_keeps_nothing(tmp_path: Path) -> None:
    require_root()
    folder = new_run()
    folder.mkdir(exist_ok=True)
    start_engine(folder)
    try:
        load_base(folder / "docker.sock")
        rig = Rig(folder / "docker.sock", tmp_path, AGENT)
        async with DockerEngine(rig.socket) as engine:
            builder = DockerfileBuilder(engine, AGENT, LIMITS)
            async with asyncio.TaskGroup() as group:
                building = group.create_task(rig.outcome(builder, f"{BASE}RUN echo begun; sleep 600\n"))
                await until(lambda: "begun" in rig.heard.lines)
                await asyncio.to_thread(kill_engine, folder)
            await asyncio.to_thread(start_engine, folder)
            await builder.tidy([], nothing)

        expected = "cannot build: the container engine went away, in step 2 of 2, RUN echo begun; sleep 600"
        assert str(building.result()) == expected
        assert rig.inspect("containers", str(rig.heard.container)) is None
    finally:
        stop_engine(folder)


async def nothing() -> Iterable[str]:
    return ()
