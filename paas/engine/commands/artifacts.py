"""Create, fill and delete artifacts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from paas.core.errors import Conflict, NotFound, Unavailable
from paas.core.ids import ArtifactId, DeploymentId, new_artifact_id
from paas.core.model import Artifact
from paas.core.ports import Clock
from paas.store import artifacts, deployments
from paas.store.database import Database, Reader


class ArtifactBytes(Protocol):
    async def receive(
        self, chunks: AsyncIterator[bytes], *, expected_bytes: int | None = None
    ) -> tuple[str, int]: ...
    async def has(self, sha256: str) -> bool: ...
    async def delete(self, sha256: str) -> None: ...


class ArtifactCommands:
    def __init__(
        self,
        database: Database,
        files: ArtifactBytes,
        clock: Clock,
        poke: Callable[[DeploymentId], None],
    ) -> None:
        self._database = database
        self._files = files
        self._clock = clock
        self._poke = poke
        self.owning = asyncio.Lock()  # held while bytes get their owner, or lose the last one

    async def create(self, *, name: str, content_type: str) -> Artifact:
        artifact = Artifact(
            id=new_artifact_id(),
            name=name,
            content_type=content_type,
            size_bytes=None,
            sha256=None,
            created_at=self._clock.now(),
            uploaded_at=None,
        )
        async with self._database.transaction() as tx:
            await artifacts.insert(tx, artifact)
        return artifact

    async def upload(
        self, artifact_id: ArtifactId, chunks: AsyncIterator[bytes], *, expected_bytes: int | None
    ) -> Artifact:
        """Keep the bytes of an artifact, once; deployments that wait for it go on.

        The same bytes again are accepted, others raise Conflict: an artifact never changes.
        """
        await _existing(self._database.reader, artifact_id)
        sha256, size_bytes = await self._files.receive(chunks, expected_bytes=expected_bytes)
        async with self.owning:
            if not await self._files.has(sha256):
                raise Unavailable(
                    f"cannot upload to artifact {artifact_id}: the same bytes were deleted meanwhile",
                    hint="upload them again",
                )
            async with self._database.transaction() as tx:
                filled = await artifacts.fill(
                    tx, artifact_id, sha256=sha256, size_bytes=size_bytes, now=self._clock.now()
                )
                artifact = await _existing(tx, artifact_id)
                if not filled and artifact.sha256 != sha256:
                    raise Conflict(
                        f"cannot upload to artifact {artifact_id}: it holds other bytes already",
                        code="ARTIFACT_IMMUTABLE",
                        hint="create another artifact for the new bytes",
                    )
                waiting = await deployments.waiting_for(tx, artifact_id)
        for deployment_id in waiting:
            self._poke(deployment_id)
        return artifact

    async def delete(self, artifact_id: ArtifactId) -> None:
        """Delete an artifact and, if nothing else has the same bytes, its file.

        Raises NotFound, and Conflict while a live deployment runs it.
        """
        async with self.owning:
            async with self._database.transaction() as tx:
                artifact = await _existing(tx, artifact_id)
                user = await artifacts.user_of(tx, artifact_id)
                if user is not None:
                    raise Conflict(
                        f"cannot delete artifact {artifact_id}: deployment {user} runs it",
                        code="ARTIFACT_IN_USE",
                        hint="cancel the deployment first",
                    )
                unowned = await artifacts.delete(tx, artifact, now=self._clock.now())
            if artifact.sha256 is not None and unowned:
                await self._files.delete(artifact.sha256)


async def _existing(reader: Reader, artifact_id: ArtifactId) -> Artifact:
    artifact = await artifacts.get(reader, artifact_id)
    if artifact is None:
        raise NotFound(f"no artifact has the id {artifact_id}", code="ARTIFACT_NOT_FOUND")
    return artifact
