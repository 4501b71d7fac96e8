"""The queue of builds: turns, cancels, what an agent that died leaves, and what is deleted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from paas.build_files import BuildFiles
from paas.build_logs import BuildLogs
from paas.builders.unpack import UnpackLimits
from paas.core.builds import Build, BuiltImage
from paas.core.errors import BuildFailed, Conflict, NotFound, TooLarge, Unavailable
from paas.core.ids import AppId, BuildId
from paas.core.ports import BuildReport, ImageBuilder
from paas.core.states import BuildState
from paas.engine.builds import IMAGE_KEPT_SECS, LAYER_KEPT_SECS, Builds, BuildWorld
from paas.engine.commands.apps import AppCommands
from paas.engine.commands.builds import MOST_UNFINISHED, ArchiveSource, BuildCommands, BuildRequest
from paas.store import builds, feed
from paas.store.database import Database
from tests.contexts import archive
from tests.store.records import insert_app, insert_deployment
from tests.waiting import until

CONTEXT_LIMIT = 1000
CONTEXT = archive("FROM scratch\n")
BUILT = BuiltImage(name="paas/hello:1", id="sha256:1", size_bytes=7)


class SteadyClock:
    """Time that stands still until somebody moves it."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.sleep(0)


@dataclass(slots=True)
class FakeImageBuilder:
    """Builds until it is told what comes of it."""

    begun: list[BuildId] = field(default_factory=list)
    given_up: list[BuildId] = field(default_factory=list)
    results: dict[BuildId, asyncio.Future[BuiltImage]] = field(default_factory=dict)
    workspaces: list[Path] = field(default_factory=list)
    tidied: list[tuple[list[str], set[str]]] = field(default_factory=list)

    async def build(
        self, build: Build, *, name: str, context: Path, workspace: Path, report: BuildReport
    ) -> BuiltImage:
        assert name == f"paas/hello:{build.id}"
        assert [path.name for path in context.iterdir()] == ["Dockerfile"]
        assert list(workspace.iterdir()) == [workspace / "source"]
        (workspace / "file").touch()
        self.workspaces.append(workspace)
        await report.say(["building Dockerfile"])
        await report.made(f"layer of {build.id}")
        self.begun.append(build.id)
        self.results[build.id] = asyncio.get_running_loop().create_future()
        try:
            return await self.results[build.id]
        except asyncio.CancelledError:
            self.given_up.append(build.id)
            raise

    async def has(self, image_id: str) -> bool:
        return image_id == BUILT.id

    async def tidy(
        self, layers: Iterable[str], in_use: Callable[[], Awaitable[Iterable[str]]]
    ) -> Sequence[str]:
        layers = list(layers)
        self.tidied.append((layers, set(await in_use())))
        return layers[:1]


@dataclass(slots=True, kw_only=True)
class Rig:
    database: Database
    app_id: AppId
    clock: SteadyClock
    files: BuildFiles
    folder: Path
    logs: BuildLogs
    queue: Builds
    commands: BuildCommands
    builder: FakeImageBuilder

    async def ask(self, content: bytes = CONTEXT) -> Build:
        self.clock.seconds += 1
        return await self.commands.create(request(self.app_id, content))

    async def read(self, build: Build) -> Build:
        found = await builds.get(self.database.reader, build.id)
        assert found is not None
        return found

    async def begun(self, build: Build) -> None:
        await until(lambda: build.id in self.builder.begun)

    async def settled(self, build: Build) -> Build:
        async with asyncio.timeout(10):
            while (found := await self.read(build)).ended_at is None:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        return found

    async def said(self, build: Build) -> list[str]:
        return [line.message for line in await self.logs.read(build.id)]


def request(app_id: AppId, content: bytes) -> BuildRequest:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    return BuildRequest(app_id=app_id, source=ArchiveSource(chunks=chunks()))


@contextlib.asynccontextmanager
async def running(folder: Path, *, at_once: int = 1, unavailable: bool = False) -> AsyncIterator[Rig]:
    """Run a queue over the state in a folder; leaving it is its agent's death."""
    clock, builder = SteadyClock(), FakeImageBuilder()
    files = BuildFiles(folder / "builds", CONTEXT_LIMIT)
    logs = BuildLogs(folder / "builds", clock, kept_bytes=100_000)

    async def open_builder() -> ImageBuilder:
        if unavailable:
            raise Unavailable("cannot build: no engine answers", hint="start it")
        return builder

    async with Database.open(folder / "paas.db") as database:
        queue = Builds(
            BuildWorld(
                database=database,
                clock=clock,
                files=files,
                logs=logs,
                open_builder=open_builder,
                unpack=UnpackLimits(),
                at_once=at_once,
                kept_per_app=2,
            )
        )
        known = await database.reader.one("SELECT id FROM apps")
        app_id = (await insert_app(database)).id if known is None else AppId(known["id"])
        async with asyncio.TaskGroup() as group:
            life = group.create_task(queue.run())
            yield Rig(
                database=database,
                app_id=app_id,
                clock=clock,
                files=files,
                folder=folder / "builds",
                logs=logs,
                queue=queue,
                commands=BuildCommands(database, files, clock, queue.poke),
                builder=builder,
            )
            life.cancel()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        yield rig


async def test_build_runs_and_its_result_is_kept(rig: Rig) -> None:
    build = await rig.ask()
    await rig.begun(build)
    assert (await rig.read(build)).state is BuildState.RUNNING

    rig.builder.results[build.id].set_result(BUILT)

    found = await rig.settled(build)
    assert found.state is BuildState.SUCCEEDED
    assert (found.image, found.image_id, found.image_bytes) == (BUILT.name, BUILT.id, BUILT.size_bytes)
    assert await rig.said(build) == ["building Dockerfile", "Built paas/hello:1, 7 bytes"]
    kinds = [event.kind for event in await feed.Feed(rig.database).after(0)]
    assert kinds[-3:] == ["build.queued", "build.running", "build.succeeded"]
    await until(lambda: [path for path in rig.folder.iterdir() if path.is_dir()] == [])


async def test_failure_is_told_in_the_row_and_in_the_log(rig: Rig) -> None:
    build = await rig.ask()
    await rig.begun(build)

    rig.builder.results[build.id].set_exception(
        BuildFailed("step 1 of 2, RUN x: exit code 3", hint="mend it")
    )

    found = await rig.settled(build)
    assert (found.state, found.reason) == (BuildState.FAILED, "step 1 of 2, RUN x: exit code 3")
    assert (await rig.said(build))[-2:] == ["step 1 of 2, RUN x: exit code 3", "mend it"]


async def test_fault_of_the_agents_own_is_tried_again(rig: Rig) -> None:
    build = await rig.ask()
    await rig.begun(build)

    rig.builder.results[build.id].set_exception(RuntimeError("a bug"))

    await until(lambda: rig.builder.begun == [build.id, build.id])
    rig.builder.results[build.id].set_result(BUILT)
    assert (await rig.settled(build)).state is BuildState.SUCCEEDED


async def test_builds_take_turns_the_oldest_first(rig: Rig) -> None:
    made = [await rig.ask() for _ in range(3)]

    for build in made:
        await rig.begun(build)
        assert rig.builder.begun[-1] == build.id
        rig.builder.results[build.id].set_result(BUILT)

    for build in made:
        assert (await rig.settled(build)).state is BuildState.SUCCEEDED
    assert len(set(rig.builder.workspaces)) == 3


async def test_as_many_run_at_once_as_are_allowed(tmp_path: Path) -> None:
    async with running(tmp_path, at_once=2) as rig:
        made = [await rig.ask() for _ in range(3)]
        await rig.begun(made[0])
        await rig.begun(made[1])

        assert (await rig.read(made[2])).state is BuildState.QUEUED

        rig.builder.results[made[1].id].set_result(BUILT)
        await rig.begun(made[2])


async def test_running_build_is_given_up_when_it_is_cancelled(rig: Rig) -> None:
    build, next_one = await rig.ask(), await rig.ask()
    await rig.begun(build)

    cancelled = await rig.commands.cancel(build.id)

    assert cancelled.state is BuildState.CANCELLED
    await rig.begun(next_one)
    assert rig.builder.given_up == [build.id]
    assert (await rig.read(build)).reason == "cancelled on request"
    assert (await rig.commands.cancel(build.id)).state is BuildState.CANCELLED, "twice is once"


async def test_queued_build_that_is_cancelled_never_begins(rig: Rig) -> None:
    first, second, third = [await rig.ask() for _ in range(3)]
    await rig.begun(first)

    await rig.commands.cancel(second.id)
    rig.builder.results[first.id].set_result(BUILT)

    await rig.begun(third)
    assert rig.builder.begun == [first.id, third.id]


async def test_what_has_ended_cannot_be_cancelled(rig: Rig) -> None:
    build = await rig.ask()
    await rig.begun(build)
    rig.builder.results[build.id].set_result(BUILT)
    await rig.settled(build)

    with pytest.raises(Conflict, match="it has succeeded already"):
        await rig.commands.cancel(build.id)


async def test_builds_of_an_app_that_is_deleted_are_ended(rig: Rig) -> None:
    build = await rig.ask()
    await rig.begun(build)

    await AppCommands(rig.database, rig.clock, lambda _: None).delete(rig.app_id)
    rig.queue.poke()

    await until(lambda: rig.builder.given_up == [build.id])
    assert (await rig.read(build)).reason == "its app was deleted"


async def test_build_that_an_agent_left_is_done_again_before_others(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        left, waiting = await rig.ask(), await rig.ask()
        await rig.begun(left)

    async with running(tmp_path) as rig:
        await rig.begun(left)
        assert (await rig.read(waiting)).state is BuildState.QUEUED
        rig.builder.results[left.id].set_result(BUILT)
        assert (await rig.settled(left)).state is BuildState.SUCCEEDED
        assert await rig.said(left) == [
            "building Dockerfile",
            "The agent was restarted: the build begins again.",
            "building Dockerfile",
            "Built paas/hello:1, 7 bytes",
        ]
        await rig.begun(waiting)


async def test_absent_engine_fails_the_build_with_its_sentence(tmp_path: Path) -> None:
    async with running(tmp_path, unavailable=True) as rig:
        found = await rig.settled(await rig.ask())

        assert (found.state, found.reason) == (BuildState.FAILED, "cannot build: no engine answers")


async def test_context_that_is_too_large_leaves_nothing(rig: Rig) -> None:
    with pytest.raises(TooLarge):
        await rig.ask(b"x" * (CONTEXT_LIMIT + 1))

    assert list(rig.folder.iterdir()) == []


async def test_queue_has_a_bound(rig: Rig) -> None:
    made = [await rig.ask() for _ in range(MOST_UNFINISHED)]

    with pytest.raises(Unavailable, match=f"{MOST_UNFINISHED} builds wait already"):
        await rig.ask()

    await rig.commands.cancel(made[-1].id)
    await rig.ask()


async def test_unknown_app_and_build_are_told(rig: Rig) -> None:
    with pytest.raises(NotFound, match="no app"):
        await rig.commands.create(request(AppId("none"), b"context"))
    with pytest.raises(NotFound, match="no build"):
        await rig.commands.cancel(BuildId("none"))


async def test_tidying_keeps_what_is_in_use_and_the_newest_builds(rig: Rig) -> None:
    made = [await rig.ask() for _ in range(3)]
    for build in made:
        await rig.begun(build)
        rig.clock.seconds += 1
        rig.builder.results[build.id].set_result(BUILT)
        await rig.settled(build)
    deployment = await insert_deployment(rig.database, rig.app_id)
    rig.clock.seconds += LAYER_KEPT_SECS + 1
    fresh = await rig.ask()
    await rig.begun(fresh)

    await rig.queue.tidy()

    layers, in_use = rig.builder.tidied[-1]
    assert layers == [f"layer of {build.id}" for build in reversed(made)]
    assert in_use == {fresh.id} | ({deployment.image} - {None})
    page, total = await builds.page(rig.database.reader, app_id=None, limit=10, offset=0)
    assert [build.id for build in page] == [fresh.id, made[2].id, made[1].id]
    assert total == 3
    assert {path.stem for path in rig.folder.glob("*.log")} == {build.id for build in page}
    left = await builds.old_layers(rig.database.reader, before=rig.clock.now())
    assert left == layers[1:]
    assert LAYER_KEPT_SECS > IMAGE_KEPT_SECS


async def test_image_of_a_new_build_waits_for_its_deployment(rig: Rig) -> None:
    build = await rig.ask()
    await rig.begun(build)
    rig.builder.results[build.id].set_result(BUILT)
    await rig.settled(build)

    await rig.queue.tidy()
    rig.clock.seconds += IMAGE_KEPT_SECS + 1
    await rig.queue.tidy()

    assert [in_use for _, in_use in rig.builder.tidied] == [{build.id, BUILT.id}, set()]


async def test_tidying_asks_no_engine_where_nothing_was_ever_built(tmp_path: Path) -> None:
    async with running(tmp_path, unavailable=True) as rig:
        await rig.queue.tidy()
