"""The queue of builds over a real database: what builds is fake, and time stands still."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paas.artifacts import ArtifactFiles
from paas.build_files import BuildFiles
from paas.build_logs import BuildLogs
from paas.builders.build_process import RunLimits
from paas.builders.containment import ProcessLimits
from paas.builders.program_tar import TarLimits
from paas.builders.recipes import RecipeTable
from paas.builders.source import SourcePrograms, SourceSettings
from paas.builders.trees import UnpackLimits
from paas.core.builds import Build, BuiltImage, Program, SourceOrder
from paas.core.errors import Unavailable
from paas.core.ids import AppId, BuildId, DeploymentId
from paas.core.ports import BuildReport, ImageBuilder
from paas.core.records import replace
from paas.engine.build_results import Results
from paas.engine.building import Building, BuildWorld
from paas.engine.builds import BuildQueue, Builds, Perform
from paas.engine.commands import ArchiveSource, BuildRequest, Commands
from paas.engine.commands.builds import BuildCommands
from paas.engine.variables import Variables
from paas.store import builds
from paas.store.database import Database
from paas.vault import Vault
from tests.contexts import archive, fill
from tests.store.records import insert_app
from tests.waiting import until

CONTEXT_LIMIT = 1000
COMMIT = "0123456789012345678901234567890123456789"
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
    seen: list[Build] = field(default_factory=list)
    given_up: list[BuildId] = field(default_factory=list)
    results: dict[BuildId, asyncio.Future[BuiltImage]] = field(default_factory=dict)
    workspaces: list[Path] = field(default_factory=list)
    tidied: list[tuple[list[str], set[str]]] = field(default_factory=list)

    async def build(
        self, build: Build, *, name: str, context: Path, workspace: Path, report: BuildReport
    ) -> BuiltImage:
        assert name == f"paas/hello:{build.id}"
        assert len([*context.iterdir()]) == 1
        self.seen.append(build)
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


@dataclass(slots=True)
class FakeFetcher:
    """Has one repository, of a program and what else is put there; fetches it once it may."""

    files: dict[str, str] = field(default_factory=dict)
    may: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    async def fetch(
        self, url: str, *, ref: str | None, token: str | None, into: Path, report: BuildReport
    ) -> str:
        self.asked.append((url, ref, token))
        await report.say([f"Fetching {url}"])
        await self.may.wait()
        program = into / "run"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        fill(into, self.files)
        return COMMIT

    async def token_for(self, app_id: AppId, url: str) -> str | None:
        return f"token of {app_id} for {url}"


class HeldPrograms(SourcePrograms):
    """Builds what needs no building, once it may."""

    def __init__(self, folder: Path) -> None:
        processes = ProcessLimits(memory_bytes=2**30, cpus=1, processes=64, file_bytes=2**30)
        limits = RunLimits(
            secs=60, processes=processes, workspace_bytes=2**30, workspace_files=1000, output_bytes=1000
        )
        settings = SourceSettings(
            limits=limits,
            program=TarLimits(bytes=2**20, files=100),
            cache_root=folder / "cache",
            cache_bytes=2**20,
            user=None,
            passed={},
        )
        super().__init__(RecipeTable(), settings)
        self.may = asyncio.Event()
        self.may.set()
        self.asked: list[SourceOrder] = []
        self.says = "building"

    async def build(self, order: SourceOrder, report: BuildReport) -> Program:
        self.asked.append(order)
        await report.say([self.says])
        await self.may.wait()
        return await super().build(order, report)


@dataclass(slots=True, kw_only=True)
class Rig:
    database: Database
    app_id: AppId
    clock: SteadyClock
    files: BuildFiles
    folder: Path
    logs: BuildLogs
    queue: Builds
    poked: asyncio.Event
    all_commands: Commands
    builder: FakeImageBuilder
    variables: Variables
    fetcher: FakeFetcher
    programs: HeldPrograms
    die: Callable[[], object]
    deployments: list[DeploymentId]  # that were poked

    @property
    def commands(self) -> BuildCommands:
        return self.all_commands.builds

    async def ask(self, content: bytes | None = None, **wish: Any) -> Build:
        """Ask for a build of an archive, which differs from all others unless it is given."""
        self.clock.seconds += 1
        wished = request(self.app_id, content or archive(f"FROM scratch\n# {self.clock.seconds}\n"))
        return await self.commands.create(replace(wished, **wish))

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

    async def tidied(self) -> None:
        """Delete what is old, once nothing is under way."""
        await until(lambda: not self.queue._in_hand)
        await self.queue.tidy()

    async def said(self, build: Build) -> list[str]:
        return [line.message for line in await self.logs.read(build.id)]


def request(app_id: AppId, content: bytes) -> BuildRequest:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    return BuildRequest(app_id=app_id, source=ArchiveSource(chunks=chunks()))


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    *,
    at_once: int = 1,
    unavailable: bool = False,
    leaving: Callable[[Build], Awaitable[None]] | None = None,
) -> AsyncIterator[Rig]:
    """Run a queue over the state in a folder; leaving it is its agent's death.

    `leaving` is the last that is done of each build.
    """
    clock, builder = SteadyClock(), FakeImageBuilder()
    files = BuildFiles(folder / "builds", CONTEXT_LIMIT)
    logs = BuildLogs(folder / "builds", clock, kept_bytes=100_000)

    async def open_builder() -> ImageBuilder:
        if unavailable:
            raise Unavailable("cannot build: no engine answers", hint="start it")
        return builder

    async with Database.open(folder / "paas.db") as database:
        vault = Vault(folder / "secrets.key")
        variables = Variables(database.reader, vault)
        poked, artifacts = asyncio.Event(), ArtifactFiles(folder / "artifacts", 10**6)
        deployments: list[DeploymentId] = []
        commands = Commands.over(
            database,
            artifacts,
            vault,
            clock,
            deployments.append,
            sources=files,
            poke_builds=poked.set,
        )
        fetcher, programs = FakeFetcher(), HeldPrograms(folder)
        choosing_images = asyncio.Lock()
        results = Results(
            database=database,
            clock=clock,
            files=artifacts,
            owning=commands.artifacts.owning,
            versions=commands.versions,
            choosing_images=choosing_images,
            open_image_builder=open_builder,
        )
        world = BuildWorld(
            database=database,
            clock=clock,
            files=files,
            logs=logs,
            results=results,
            open_image_builder=open_builder,
            source_builder=programs,
            variables=variables,
            fetcher=fetcher,
            token_for=fetcher.token_for,
            unpack=UnpackLimits(),
            secs=60,
        )

        async def open_building() -> Perform:
            return perform

        async def perform(build: Build) -> None:
            await Building(world).perform(build)
            if leaving is not None:
                await leaving(build)

        queue = Builds(
            BuildQueue(
                database=database,
                clock=clock,
                files=files,
                logs=logs,
                open_building=open_building,
                open_image_builder=open_builder,
                choosing_images=choosing_images,
                at_once=at_once,
                kept_per_app=2,
            ),
            poked,
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
                poked=poked,
                all_commands=commands,
                builder=builder,
                variables=variables,
                fetcher=fetcher,
                programs=programs,
                die=life.cancel,
                deployments=deployments,
            )
            life.cancel()
