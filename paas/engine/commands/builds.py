"""Ask for a build, and cancel one."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from paas.core.builds import Build, BuildOptions, Rollout, Source
from paas.core.errors import Conflict, NotFound, Unavailable
from paas.core.ids import AppId, BuildId, new_build_id
from paas.core.model import DEVELOPMENT
from paas.core.ports import Clock
from paas.core.records import dataclass, field, replace
from paas.core.sources import check_path, check_ref, check_url
from paas.core.states import UNFINISHED_BUILD, BuildState
from paas.store import apps, builds, transitions
from paas.store.database import Database, Reader, Tx

MOST_UNFINISHED = 50  # each keeps a source on the disk


class SourceFiles(Protocol):
    def received(
        self, build_id: BuildId, chunks: AsyncIterator[bytes], *, expected_bytes: int | None
    ) -> AbstractAsyncContextManager[tuple[str, int]]: ...
    def copied(self, build_id: BuildId, other: BuildId, sha256: str) -> AbstractAsyncContextManager[None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSource:
    """An archive that is just being sent."""

    chunks: AsyncIterator[bytes]
    expected_bytes: int | None = None
    path: str = ""  # the folder inside it that is built


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSource:
    """A repository at a branch, a tag or a commit; None: at its default branch."""

    url: str
    ref: str | None = None
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SameSource:
    """What an earlier build was made of: its archive, if that is still kept, or its commit."""

    build_id: BuildId


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """A wish for a build, and for what is deployed after it."""

    app_id: AppId
    source: ArchiveSource | GitSource | SameSource
    options: BuildOptions = field(default_factory=BuildOptions)
    environment: str = DEVELOPMENT  # whose variables it sees; a rollout's own goes before
    rollout: Rollout | None = None
    replaces: bool = False  # end the unfinished builds of the same app and environment


class BuildCommands:
    def __init__(
        self, database: Database, sources: SourceFiles, clock: Clock, poke: Callable[[], None]
    ) -> None:
        self._database = database
        self._sources = sources
        self._clock = clock
        self._poke = poke

    async def create(self, request: BuildRequest) -> Build:
        """Keep the source, if it is sent, and queue the build.

        Raises NotFound for the app, Invalid for the source, Conflict for an earlier build's that is not kept
        any more, Unavailable while too many wait, and what keeping an archive does.
        """
        await _check(self._database.reader, request.app_id)
        build_id = new_build_id()
        async with self._kept(build_id, request.source) as source, self._database.transaction() as tx:
            build = await self._add(tx, build_id, request, source)
        self._poke()
        return build

    async def add(self, tx: Tx, request: BuildRequest) -> Build:
        """Queue a build of a Git source within a transaction, to be followed by `poke`.

        Raises as `create` does.
        """
        if not isinstance(request.source, GitSource):
            raise TypeError(request.source)
        return await self._add(tx, new_build_id(), request, _git_source(request.source))

    def poke(self) -> None:
        """Have the queue looked at."""
        self._poke()

    async def cancel(self, build_id: BuildId) -> Build:
        """End a build, whether its turn has come or not. Repeatable. Raises NotFound and Conflict."""
        async with self._database.transaction() as tx:
            build = await _existing(tx, build_id)
            if build.state in UNFINISHED_BUILD:
                build = await self._end(tx, build, "cancelled on request")
            elif build.state is not BuildState.CANCELLED:
                raise Conflict(
                    f"cannot cancel build {build_id}: it has {build.state} already", code="BUILD_ENDED"
                )
        self._poke()
        return build

    @contextlib.asynccontextmanager
    async def _kept(
        self, build_id: BuildId, source: ArchiveSource | GitSource | SameSource
    ) -> AsyncIterator[Source]:
        """Have on the disk what a build needs; if the block raises, nothing stays there."""
        match source:
            case ArchiveSource():
                path = check_path(source.path)
                async with self._sources.received(
                    build_id, source.chunks, expected_bytes=source.expected_bytes
                ) as (sha256, size_bytes):
                    yield Source(kind="archive", path=path, sha256=sha256, size_bytes=size_bytes)
            case GitSource():
                yield _git_source(source)
            case SameSource():
                earlier = (await _existing(self._database.reader, source.build_id)).source
                if earlier.sha256 is None:
                    yield replace(earlier, ref=earlier.commit or earlier.ref)
                    return
                async with self._sources.copied(build_id, source.build_id, earlier.sha256):
                    yield earlier

    async def _add(self, tx: Tx, build_id: BuildId, request: BuildRequest, source: Source) -> Build:
        await _check(tx, request.app_id)
        environment = request.environment if request.rollout is None else request.rollout.environment
        if request.replaces:
            for older in await builds.unfinished_of(tx, request.app_id):
                if older.environment == environment and older.rollout is not None:
                    await self._end(tx, older, f"build {build_id} of a newer source took its place")
        now = self._clock.now()
        build = Build(
            id=build_id,
            app_id=request.app_id,
            state=BuildState.QUEUED,
            reason=None,
            source=source,
            options=request.options,
            environment=environment,
            rollout=request.rollout,
            recipe=None,
            fingerprint=None,
            reused_build_id=None,
            artifact_id=None,
            image=None,
            image_id=None,
            image_bytes=None,
            deployment_id=None,
            created_at=now,
            started_at=None,
            ended_at=None,
            updated_at=now,
        )
        await builds.insert(tx, build)
        return build

    async def _end(self, tx: Tx, build: Build, reason: str) -> Build:
        now = self._clock.now()
        return await transitions.move_build(
            tx, build, BuildState.CANCELLED, now=now, reason=reason, ended_at=now
        )


def _git_source(source: GitSource) -> Source:
    """Describe a repository that is fetched when the build's turn comes. Raises Invalid."""
    return Source(
        kind="git",
        path=check_path(source.path),
        url=check_url(source.url),
        ref=None if source.ref is None else check_ref(source.ref),
    )


async def _existing(reader: Reader, build_id: BuildId) -> Build:
    build = await builds.get(reader, build_id)
    if build is None:
        raise NotFound(f"no build has the id {build_id}", code="BUILD_NOT_FOUND")
    return build


async def _check(reader: Reader, app_id: AppId) -> None:
    if await apps.get(reader, app_id) is None:
        raise NotFound(f"no app has the id {app_id}", code="APP_NOT_FOUND")
    if len(await builds.unfinished(reader)) >= MOST_UNFINISHED:
        raise Unavailable(
            f"cannot build: {MOST_UNFINISHED} builds wait already",
            code="TOO_MANY_BUILDS",
            hint="wait until some have ended, or cancel them",
        )
