"""The loop that builds: so many at a time, the oldest first; and what is left of old builds."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paas.build_files import BuildFiles
from paas.build_logs import BuildLogs
from paas.builders.source_tree import folder_inside, unpack_source
from paas.builders.unpack import UnpackLimits
from paas.core.builds import Build, BuiltImage
from paas.core.errors import BuildFailed, PaasError, Stale
from paas.core.ids import BuildId
from paas.core.ports import Clock, ImageBuilder
from paas.core.states import BuildState
from paas.store import apps, builds, transitions
from paas.store.database import Database

logger = logging.getLogger(__name__)

DOCKERFILE_NAME = "Dockerfile"
LOOK_AGAIN_SECS = 30.0  # for what nobody told of
PAUSE_SECS = 5.0  # after a failure of ours: disk full, database busy
IMAGE_KEPT_SECS = 3600.0  # for somebody to deploy it
LAYER_KEPT_SECS = 24 * 3600.0  # as the engine's cache for the next build


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildWorld:
    """What builds need, and plain settings."""

    database: Database
    clock: Clock
    files: BuildFiles
    logs: BuildLogs
    open_builder: Callable[[], Awaitable[ImageBuilder]]  # may load what nobody needed before
    unpack: UnpackLimits
    at_once: int
    kept_per_app: int


class Builds:
    """Does what the table says is to be done, whoever wrote it there.

    One that was under way when the agent ended is done again from its context, in a clean workspace.
    """

    def __init__(self, world: BuildWorld) -> None:
        self._world = world
        self._poked = asyncio.Event()
        self._in_hand: dict[BuildId, asyncio.Task[None]] = {}
        self._is_busy = True  # something is to be done, or it is not known whether

    def poke(self) -> None:
        """Say that the table changed."""
        self._poked.set()

    async def run(self) -> None:
        """Build until cancelled. What is under way then is given up, and done again by the next agent."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._poked.clear()
                self._is_busy = True
                try:
                    await self._pass(group)
                except (PaasError, OSError) as error:
                    logger.warning("Cannot look at the builds: %s", error, extra={"event": "builds.failed"})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_AGAIN_SECS if self._is_busy else None):
                        await self._poked.wait()

    async def tidy(self) -> None:
        """Delete old builds, and what no build or deployment needs. Raises Unavailable and OSError."""
        world = self._world
        if not world.files.is_used:
            return
        async with world.database.record() as tx:
            await builds.delete_ended(tx, keep_per_app=world.kept_per_app)
        await world.logs.keep_only(lambda: builds.ids_known(world.database.reader))
        builder = await world.open_builder()
        now = world.clock.now()
        gone = await builder.tidy(
            await builds.old_layers(world.database.reader, before=now - LAYER_KEPT_SECS),
            lambda: builds.images_in_use(world.database.reader, ended_after=now - IMAGE_KEPT_SECS),
        )
        async with world.database.record() as tx:
            await builds.forget_layers(tx, gone)

    async def _pass(self, group: asyncio.TaskGroup) -> None:
        """Give up what is no longer wanted, and begin what has its turn."""
        wanted = await builds.unfinished(self._world.database.reader)
        for build_id in self._in_hand.keys() - {build.id for build in wanted}:
            if not self._in_hand[build_id].cancelling():  # once: it may be leaving its workspace
                self._in_hand[build_id].cancel()
        for build in wanted:
            if len(self._in_hand) >= self._world.at_once:
                break
            if build.id not in self._in_hand:
                performer = group.create_task(self._perform(build), name=f"build {build.id}")
                self._in_hand[build.id] = performer
        self._world.logs.announce()
        await self._world.files.keep_only(self._ids_to_keep)
        self._is_busy = bool(wanted or self._in_hand)

    async def _ids_to_keep(self) -> Iterable[BuildId]:
        """Name the builds whose folders are needed; what is given up may still be leaving its own."""
        return await builds.with_wanted_sources(self._world.database.reader) | self._in_hand.keys()

    async def _perform(self, build: Build) -> None:
        try:
            await self._build(build)
        except Stale:
            logger.debug("Somebody else moved it first", extra={"event": "stale", "build": build.id})
        except Exception:  # a build may fail, the agent may not
            logger.exception("Cannot record a build", extra={"event": "build.unrecorded", "build": build.id})
            await self._world.clock.sleep(PAUSE_SECS)
        finally:
            del self._in_hand[build.id]
            self.poke()

    async def _build(self, build: Build) -> None:
        world = self._world
        report = _Report(world, build.id)
        if build.state is BuildState.QUEUED:
            async with world.database.record() as tx:
                now = world.clock.now()
                build = await transitions.move_build(tx, build, BuildState.RUNNING, now=now, started_at=now)
        else:
            await report.say(["The agent was restarted: the build begins again."])
        try:
            image = await self._make(build, report)
        except Stale:
            raise
        except (PaasError, OSError) as error:
            await self._fail(build, report, error)
            return
        await report.say([f"Built {image.name}, {image.size_bytes} bytes"])
        now = world.clock.now()
        async with world.database.record() as tx:
            await transitions.move_build(
                tx,
                build,
                BuildState.SUCCEEDED,
                now=now,
                image=image.name,
                image_id=image.id,
                image_bytes=image.size_bytes,
                ended_at=now,
            )
        logger.info("Built %s", image.name, extra={"event": "build.succeeded", "build": build.id})

    async def _make(self, build: Build, report: "_Report") -> BuiltImage:
        world = self._world
        app = await apps.get(world.database.reader, build.app_id)
        if app is None:
            raise Stale(f"cannot build {build.id}: its app was deleted")
        builder = await world.open_builder()
        async with world.files.workspace(build.id) as workspace:
            return await builder.build(
                build,
                name=f"paas/{app.name.lower()}:{build.id}",
                context=await asyncio.to_thread(self._tree, build, workspace),
                workspace=workspace,
                report=report,
            )

    def _tree(self, build: Build, workspace: Path) -> Path:
        """Unpack the source of a build, and find the folder in it that is built."""
        source = build.source
        if source.sha256 is None:
            raise BuildFailed(f"cannot build {source.url}: this agent fetches no repositories")
        archive, folder = self._world.files.archive(build.id, source.sha256), workspace / "source"
        folder.mkdir()
        wanted = source.path or build.options.dockerfile or DOCKERFILE_NAME
        return folder_inside(unpack_source(archive, folder, self._world.unpack, wanted=wanted), source.path)

    async def _fail(self, build: Build, report: "_Report", error: PaasError | OSError) -> None:
        reason = error.message if isinstance(error, PaasError) else f"cannot build: {error}"
        hint = error.hint if isinstance(error, PaasError) else None
        with contextlib.suppress(OSError):  # it may be what failed
            await report.say([reason, *([hint] if hint else [])])
        now = self._world.clock.now()
        async with self._world.database.record() as tx:
            await transitions.move_build(tx, build, BuildState.FAILED, now=now, reason=reason, ended_at=now)
        logger.warning("Build failed: %s", reason, extra={"event": "build.failed", "build": build.id})


class _Report:
    """Keeps what one build says and leaves."""

    def __init__(self, world: BuildWorld, build_id: BuildId) -> None:
        self._world = world
        self._build_id = build_id

    async def say(self, lines: Sequence[str]) -> None:
        await self._world.logs.write(self._build_id, lines)

    async def made(self, image_id: str) -> None:
        async with self._world.database.record() as tx:
            await builds.note_layer(tx, image_id, now=self._world.clock.now())
