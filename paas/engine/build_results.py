"""What builds made: kept, found again for the same source, and deployed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from paas.core.builds import DOCKERFILE, Build, BuiltImage, Program, Rollout
from paas.core.errors import Stale, Unavailable
from paas.core.ids import BuildId, DeploymentId, new_artifact_id
from paas.core.model import App, Artifact, Deployment
from paas.core.ports import Clock, ImageBuilder
from paas.core.previews import as_preview
from paas.core.records import dataclass
from paas.core.spec import Spec
from paas.core.states import BuildState
from paas.core.variables import of_deployment
from paas.engine.commands.artifacts import ArtifactBytes
from paas.engine.commands.versions import Versions
from paas.manifest import Manifest
from paas.specs import reading
from paas.specs.fields import SpecFields
from paas.store import apps, artifacts, builds, transitions, variables
from paas.store.database import Database, Reader, Tx

PROGRAM_TYPE = "application/x-tar"
COPY_SIZE = 1024 * 1024
# What a spec is checked with before the build has made anything.
IMAGE = SpecFields(process_type="docker", image="made")
PROGRAM = SpecFields(process_type="tish")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a build came to: an image, an artifact, or nothing, where the manifest names an image."""

    image: BuiltImage | None = None
    artifact: Artifact | None = None
    reused_build_id: BuildId | None = None  # whose it is; None: it was made just now

    @property
    def description(self) -> str:
        begins = (
            "Built" if self.reused_build_id is None else f"Built before, as build {self.reused_build_id}:"
        )
        if self.image is not None:
            return f"{begins} {self.image.name}, {self.image.size_bytes} bytes"
        if self.artifact is not None:
            return f"{begins} {self.artifact.name}, {self.artifact.size_bytes} bytes"
        return "Nothing is built: the manifest names an image"


class Results:
    """Keeps what builds make, from the moment it is there until a row says so."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        files: ArtifactBytes,
        owning: asyncio.Lock,
        versions: Versions,
        choosing_images: asyncio.Lock,
        open_image_builder: Callable[[], Awaitable[ImageBuilder]],
    ) -> None:
        """`owning` is held by whoever gives bytes an owner, or takes the last one away.

        `choosing_images` likewise, of images.
        """
        self._database = database
        self._clock = clock
        self._files = files
        self._owning = owning
        self._versions = versions
        self._open_image_builder = open_image_builder
        self._choosing_images = choosing_images

    @contextlib.asynccontextmanager
    async def kept(self, program: Program) -> AsyncIterator[Made]:
        """Keep a program by its SHA-256; nobody deletes it while the block records its owner.

        Raises Unavailable if the disk cannot take it.
        """
        size_bytes = (await asyncio.to_thread(program.path.stat)).st_size
        sha256, size_bytes = await self._files.receive(_chunks(program.path), expected_bytes=size_bytes)
        async with self._owning:
            if not await self._files.has(sha256):
                raise Unavailable("cannot keep what was built: the same bytes were deleted meanwhile")
            now = self._clock.now()
            yield Made(
                artifact=Artifact(
                    id=new_artifact_id(),
                    name=program.name,
                    content_type=PROGRAM_TYPE,
                    size_bytes=size_bytes,
                    sha256=sha256,
                    created_at=now,
                    uploaded_at=now,
                )
            )

    @contextlib.asynccontextmanager
    async def of_the_same(self, build: Build) -> AsyncIterator[Made | None]:
        """Find what an earlier build of the same made, if that is still there; it stays during the block."""
        for earlier in await builds.finished_like(self._database.reader, build):
            async with self._choosing_images if earlier.artifact_id is None else self._owning:
                made = await self._still_there(earlier)
                if made is not None:
                    yield made
                    return
        yield None

    async def record(self, build: Build, made: Made, manifest: Manifest | None) -> None:
        """Write what came of a build, with the deployment that follows it, at once.

        Raises Stale if the build does not run any more, and as `Versions.add` does; then nothing is written.
        """
        now, image = self._clock.now(), made.image
        deployment: Deployment | None = None
        async with self._database.transaction() as tx:
            if made.artifact is not None and made.reused_build_id is None:
                await artifacts.insert(tx, made.artifact)
            if build.rollout is not None:
                deployment = await self._roll_out(tx, build, build.rollout, made, manifest)
            await transitions.move_build(
                tx,
                build,
                BuildState.SUCCEEDED,
                now=now,
                artifact_id=None if made.artifact is None else made.artifact.id,
                image=None if image is None else image.name,
                image_id=None if image is None else image.id,
                image_bytes=None if image is None else image.size_bytes,
                reused_build_id=made.reused_build_id,
                deployment_id=None if deployment is None else deployment.id,
                ended_at=now,
            )
        if deployment is not None:
            await self._versions.poke(deployment)

    async def _roll_out(
        self, tx: Tx, build: Build, rollout: Rollout, made: Made, manifest: Manifest | None
    ) -> Deployment:
        """Deploy what was made: as the app says, above that its manifest, above that what was asked."""
        app = await apps.get(tx, build.app_id)
        if app is None:
            raise Stale(f"cannot deploy build {build.id}: its app was deleted")
        spec = _spec(app, rollout, manifest, _fields_of(made))
        return await self._versions.add(
            tx,
            app,
            rollout.environment,
            spec,
            build_id=build.id,
            env={} if manifest is None else await _below(tx, app, rollout.env_of, manifest.env),
            env_of=rollout.env_of,
        )

    async def _still_there(self, earlier: Build) -> Made | None:
        if earlier.artifact_id is not None:
            artifact = await artifacts.get(self._database.reader, earlier.artifact_id)
            if artifact is None or artifact.sha256 is None or not await self._files.has(artifact.sha256):
                return None
            return Made(artifact=artifact, reused_build_id=earlier.id)
        if earlier.image is None or earlier.image_id is None:
            return None
        builder = await self._open_image_builder()
        if not await builder.has(earlier.image_id):
            return None
        image = BuiltImage(name=earlier.image, id=earlier.image_id, size_bytes=earlier.image_bytes or 0)
        return Made(image=image, reused_build_id=earlier.id)


def check_rollout(app: App, build: Build, manifest: Manifest | None) -> None:
    """Raise what would keep a build from being deployed, as far as that can be known before it is made."""
    if build.rollout is not None:
        _spec(app, build.rollout, manifest, IMAGE if build.recipe == DOCKERFILE else PROGRAM)


def _spec(app: App, rollout: Rollout, manifest: Manifest | None, made: SpecFields) -> Spec:
    """Lay what was made over what was asked, that over the manifest, and that over what the app says."""
    said = {} if manifest is None else manifest.spec
    layers = [msgspec.convert(dict(fields), SpecFields) for fields in (said, rollout.spec)]
    spec = reading.complete(app.default_deployment_spec, *layers, made)
    return as_preview(spec) if rollout.is_preview else spec


async def _below(
    reader: Reader, app: App, env_of: DeploymentId | None, env: Mapping[str, str]
) -> Mapping[str, str]:
    """Leave out of a manifest's variables what a deployment sets itself: that was asked for."""
    if env_of is None:
        return env
    own = await variables.of_owners(reader, [of_deployment(app.id, env_of)])
    return {name: env[name] for name in env.keys() - {box.name for box in own}}


def _fields_of(made: Made) -> SpecFields:
    """Say in the words of a request what is to run."""
    if made.image is not None:
        return SpecFields(process_type="docker", image=made.image.id)
    if made.artifact is not None:
        return SpecFields(process_type="tish", artifact_id=made.artifact.id)
    return SpecFields()


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, COPY_SIZE):
            yield chunk
