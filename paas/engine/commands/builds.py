"""Ask for a build, and cancel one."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from paas.core.errors import Conflict, NotFound, Unavailable
from paas.core.ids import AppId, BuildId, new_build_id
from paas.core.model import Build, BuildOptions
from paas.core.ports import Clock
from paas.core.states import UNFINISHED_BUILD, BuildState
from paas.store import apps, builds, transitions
from paas.store.database import Database, Reader

MOST_UNFINISHED = 50  # each keeps a context on the disk


class BuildContexts(Protocol):
    def received(
        self, build_id: BuildId, chunks: AsyncIterator[bytes], *, expected_bytes: int | None
    ) -> AbstractAsyncContextManager[tuple[str, int]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """A wish for an image; `chunks` are an archive of its context."""

    app_id: AppId
    options: BuildOptions
    chunks: AsyncIterator[bytes]
    expected_bytes: int | None


class BuildCommands:
    def __init__(
        self, database: Database, contexts: BuildContexts, clock: Clock, poke: Callable[[], None]
    ) -> None:
        self._database = database
        self._contexts = contexts
        self._clock = clock
        self._poke = poke

    async def create(self, request: BuildRequest) -> Build:
        """Keep the context and queue the build.

        Raises NotFound for the app, Unavailable while too many wait, and what keeping the context does.
        """
        await _check(self._database.reader, request.app_id)
        build_id = new_build_id()
        async with self._contexts.received(
            build_id, request.chunks, expected_bytes=request.expected_bytes
        ) as (sha256, size_bytes):
            now = self._clock.now()
            build = Build(
                id=build_id,
                app_id=request.app_id,
                state=BuildState.QUEUED,
                reason=None,
                options=request.options,
                context_sha256=sha256,
                context_bytes=size_bytes,
                image=None,
                image_id=None,
                image_bytes=None,
                created_at=now,
                started_at=None,
                ended_at=None,
                updated_at=now,
            )
            async with self._database.transaction() as tx:
                await _check(tx, request.app_id)
                await builds.insert(tx, build)
        self._poke()
        return build

    async def cancel(self, build_id: BuildId) -> Build:
        """End a build, whether its turn has come or not. Repeatable. Raises NotFound and Conflict."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            build = await builds.get(tx, build_id)
            if build is None:
                raise NotFound(f"no build has the id {build_id}", code="BUILD_NOT_FOUND")
            if build.state in UNFINISHED_BUILD:
                build = await transitions.move_build(
                    tx, build, BuildState.CANCELLED, now=now, reason="cancelled on request", ended_at=now
                )
            elif build.state is not BuildState.CANCELLED:
                raise Conflict(
                    f"cannot cancel build {build_id}: it has {build.state} already", code="BUILD_ENDED"
                )
        self._poke()
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
