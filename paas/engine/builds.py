"""The loop that builds: so many at a time, the oldest first; and what is left of old builds."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from paas.build_files import BuildFiles
from paas.build_logs import BuildLogs
from paas.core.builds import Build
from paas.core.errors import PaasError, Stale
from paas.core.ids import BuildId
from paas.core.ports import Clock, ImageBuilder
from paas.core.records import dataclass
from paas.core.states import BuildState
from paas.store import builds, transitions
from paas.store.database import Database

logger = logging.getLogger(__name__)

LOOK_AGAIN_SECS = 30.0  # for what nobody told of
PAUSE_SECS = 5.0  # after a failure of ours: disk full, database busy
MOST_FAULTS = 3  # of ours with one build, before that is given up
IMAGE_KEPT_SECS = 3600.0  # for somebody to deploy it
SOURCE_KEPT_SECS = 3600.0  # likewise; that of what is deployed may be built again
LAYER_KEPT_SECS = 24 * 3600.0  # as the engine's cache for the next build


Perform = Callable[[Build], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildQueue:
    """What the queue itself needs, and plain settings."""

    database: Database
    clock: Clock
    files: BuildFiles
    logs: BuildLogs
    open_building: Callable[[], Awaitable[Perform]]  # loads what builds; called once, with the first build
    open_image_builder: Callable[[], Awaitable[ImageBuilder]]  # likewise loads what nobody needed before
    choosing_images: asyncio.Lock  # held while one gets another owner, or is deleted
    at_once: int
    kept_per_app: int


class Builds:
    """Does what the table says is to be done, whoever wrote it there.

    One that was under way when the agent ended is done again from its source, in a clean workspace.
    """

    def __init__(self, world: BuildQueue, poked: asyncio.Event) -> None:
        """`poked` is set by whoever changed the table."""
        self._world = world
        self._opening = asyncio.Lock()
        self._perform_opened: Perform | None = None
        self._poked = poked
        self._faults: Counter[BuildId] = Counter()
        self._in_hand: dict[BuildId, asyncio.Task[None]] = {}
        self._is_busy = True  # something is to be done, or it is not known whether

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
        made_images = await builds.some_made_images(world.database.reader)
        async with world.database.record() as tx:
            await builds.delete_ended(tx, keep_per_app=world.kept_per_app, now=world.clock.now())
        await world.files.keep_only(self._ids_to_keep)
        await world.logs.keep_only(lambda: builds.ids_known(world.database.reader))
        if made_images:
            await self._tidy_images()

    async def _tidy_images(self) -> None:
        world = self._world
        builder = await world.open_image_builder()
        now = world.clock.now()
        async with world.choosing_images:
            gone = await builder.tidy(
                await builds.old_layers(world.database.reader, before=now - LAYER_KEPT_SECS),
                lambda: builds.images_in_use(world.database.reader, ended_after=now - IMAGE_KEPT_SECS),
            )
        async with world.database.record() as tx:
            await builds.forget_layers(tx, gone)

    async def _pass(self, group: asyncio.TaskGroup) -> None:
        """Give up what is no longer wanted, and begin what has its turn."""
        for build_id in list(self._in_hand):
            await self._cut_off_unless_wanted(build_id)
        before = set(self._in_hand)  # one of these may end during the read, and be no longer as it was read
        wanted = await builds.unfinished(self._world.database.reader)
        for build in wanted:
            if len(self._in_hand) >= self._world.at_once:
                break
            if build.id not in before:
                performer = group.create_task(self._perform(build), name=f"build {build.id}")
                self._in_hand[build.id] = performer
        self._world.logs.announce()
        await self._world.files.keep_workspaces(self._in_hand.keys())
        await self._world.files.keep_only(self._ids_to_keep)
        self._is_busy = bool(wanted or self._in_hand)

    async def _cut_off_unless_wanted(self, build_id: BuildId) -> None:
        """Cancel what somebody has ended or deleted. What has ended by itself may have a last thing to do."""
        build = await builds.get(self._world.database.reader, build_id)
        performer = self._in_hand.get(build_id)
        if performer is None or (build is not None and build.state is not BuildState.CANCELLED):
            return
        if not performer.cancelling():  # once: it may be leaving its workspace
            performer.cancel()

    async def _ids_to_keep(self) -> Iterable[BuildId]:
        """Name the builds whose folders are needed; what is given up may still be leaving its own."""
        ended_after = self._world.clock.now() - SOURCE_KEPT_SECS
        wanted = await builds.with_wanted_sources(self._world.database.reader, ended_after=ended_after)
        return wanted | self._in_hand.keys()

    async def _give_up(self, build_id: BuildId, error: Exception) -> None:
        """Fail a build that nobody can do: it would keep all others waiting."""
        now, reason = self._world.clock.now(), f"cannot build: the agent has a fault ({type(error).__name__})"
        with contextlib.suppress(PaasError):  # somebody else moved it, or the database is away
            async with self._world.database.record() as tx:
                build = await builds.get(tx, build_id)
                if build is not None and build.state is BuildState.RUNNING:
                    await transitions.move_build(
                        tx, build, BuildState.FAILED, now=now, reason=reason, ended_at=now
                    )

    async def _opened(self) -> Perform:
        async with self._opening:
            if self._perform_opened is None:
                self._perform_opened = await self._world.open_building()
            return self._perform_opened

    async def _perform(self, build: Build) -> None:
        try:
            perform = await self._opened()
            await perform(build)
        except Stale:
            logger.debug("Somebody else moved it first", extra={"event": "stale", "build": build.id})
        except Exception as error:  # a build may fail, the agent may not
            logger.exception("Cannot record a build", extra={"event": "build.unrecorded", "build": build.id})
            self._faults[build.id] += not isinstance(error, PaasError)  # else it may work later
            await self._world.clock.sleep(PAUSE_SECS)
            if self._faults[build.id] >= MOST_FAULTS:
                await self._give_up(build.id, error)
        finally:
            del self._in_hand[build.id]
            self._poked.set()
