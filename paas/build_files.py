"""What builds work on: a folder each, with the archive as it was sent and what it is unpacked to."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from pathlib import Path

from paas.artifacts import ArtifactFiles, sync_folder
from paas.core.errors import Conflict, Unavailable
from paas.core.ids import BuildId
from paas.launching import children

logger = logging.getLogger(__name__)

WORKSPACE = "workspace"


class BuildFiles:
    """Keeps one folder a build below `root`, until the build has ended. No method blocks the loop."""

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._arriving: set[BuildId] = set()

    @property
    def is_used(self) -> bool:
        """Say whether there ever was a build."""
        return self._root.is_dir()

    def archive(self, build_id: BuildId, sha256: str) -> Path:
        """Say where the archive of a build is."""
        return self._files(build_id).path(sha256)

    @contextlib.asynccontextmanager
    async def received(
        self, build_id: BuildId, chunks: AsyncIterator[bytes], *, expected_bytes: int | None
    ) -> AsyncIterator[tuple[str, int]]:
        """Keep an archive durably, and give its SHA-256 and its size in bytes.

        The block records the build; if it raises, nothing stays on disk. Raises what
        `ArtifactFiles.receive` does.
        """
        self._arriving.add(build_id)
        try:
            yield await self._files(build_id).receive(chunks, expected_bytes=expected_bytes)
        except BaseException:
            await asyncio.shield(self._delete(build_id))
            raise
        finally:
            self._arriving.discard(build_id)

    @contextlib.asynccontextmanager
    async def copied(self, build_id: BuildId, other: BuildId, sha256: str) -> AsyncIterator[None]:
        """Keep another build's archive for this one too; otherwise as `received`.

        Raises Conflict if it is not kept any more.
        """
        self._arriving.add(build_id)
        try:
            await asyncio.to_thread(self._link, build_id, other, sha256)
            yield
        except BaseException:
            await asyncio.shield(self._delete(build_id))
            raise
        finally:
            self._arriving.discard(build_id)

    @contextlib.asynccontextmanager
    async def workspace(self, build_id: BuildId) -> AsyncIterator[Path]:
        """Give an empty folder, which is gone afterwards."""
        folder = self._root / build_id / WORKSPACE
        await children.delete(folder)
        await asyncio.to_thread(folder.mkdir, parents=True)
        try:
            yield folder
        finally:
            await asyncio.shield(_remove(folder))

    async def keep_workspaces(self, at_work: Collection[BuildId]) -> None:
        """Delete what was unpacked for other builds: by an agent that died, or could not delete it then.

        No build may begin meanwhile.
        """
        there = await asyncio.to_thread(lambda: list(self._root.glob(f"*/{WORKSPACE}")))
        if left := [folder for folder in there if folder.parent.name not in at_work]:
            await children.delete(*left)

    async def keep_only(self, wanted: Callable[[], Awaitable[Iterable[BuildId]]]) -> None:
        """Delete what all other builds worked on, but not what arrives just now.

        What is there is listed before `wanted` is asked: a build that comes meanwhile is in no danger.
        """
        there = await asyncio.to_thread(self._folders)
        there -= self._arriving
        there -= set(await wanted())
        if there:
            await self._delete(*there)

    def _files(self, build_id: BuildId) -> ArtifactFiles:
        return ArtifactFiles(self._root / build_id, self._limit_bytes)

    def _folders(self) -> set[BuildId]:
        if not self._root.is_dir():
            return set()
        return {BuildId(path.name) for path in self._root.iterdir() if path.is_dir()}

    def _link(self, build_id: BuildId, other: BuildId, sha256: str) -> None:
        target = self.archive(build_id, sha256)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(self.archive(other, sha256))
        except FileNotFoundError as error:
            raise Conflict(
                f"cannot build the source of build {other} again: it is not kept any more",
                code="SOURCE_GONE",
                hint="send the source again",
            ) from error
        except OSError as error:
            raise Unavailable(f"cannot keep the source: {error.strerror}") from error
        sync_folder(target.parent)

    async def _delete(self, *build_ids: BuildId) -> None:
        await children.delete(*(self._root / build_id for build_id in build_ids))


async def _remove(folder: Path) -> None:
    try:
        await children.delete(folder)
    except OSError as error:  # it is tried again later, and this build's end says more
        logger.warning("Cannot leave a workspace: %s", error, extra={"event": "build.left"})
    with contextlib.suppress(OSError):  # an archive is beside it
        await asyncio.to_thread(folder.parent.rmdir)
