"""One build, from its source to what it made, and to the deployment that follows it."""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from paas.build_files import BuildFiles
from paas.build_logs import BuildLogs
from paas.builders.source_tree import digest_of, digest_of_file, folder_inside, unpack_source
from paas.builders.threads import done_in_thread
from paas.builders.trees import UnpackLimits
from paas.core.builds import DOCKERFILE, READY_IMAGE, Build, BuildOptions, Recipe, SourceOrder
from paas.core.errors import BuildFailed, PaasError, Stale
from paas.core.ids import AppId, BuildId
from paas.core.masking import NOTHING, Mask
from paas.core.model import App
from paas.core.ports import BuildReport, Clock, ImageBuilder, RepositoryFetcher, SourceBuilder
from paas.core.records import dataclass, replace
from paas.core.states import BuildState
from paas.engine.build_results import Made, Results, check_rollout
from paas.engine.variables import BuildVariables, Variables
from paas.manifest import Manifest, of_folder
from paas.store import apps, builds, transitions
from paas.store.database import Database

logger = logging.getLogger(__name__)

DOCKERFILE_NAME = "Dockerfile"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildWorld:
    """What builds need, and plain settings."""

    database: Database
    clock: Clock
    files: BuildFiles
    logs: BuildLogs
    results: Results
    open_image_builder: Callable[[], Awaitable[ImageBuilder]]  # may load what nobody needed before
    source_builder: SourceBuilder
    variables: Variables
    fetcher: RepositoryFetcher
    token_for: Callable[[AppId, str], Awaitable[str | None]]  # that a repository is fetched with
    unpack: UnpackLimits
    secs: float  # that a source may take to be had


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A source on the disk, and how it is built."""

    build: Build
    app: App
    tree: Path
    manifest: Manifest | None
    recipe: Recipe
    variables: BuildVariables
    workspace: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What is in a source."""

    tree: Path
    manifest: Manifest | None
    options: BuildOptions  # the request's over the manifest's
    recipe: Recipe
    fingerprint: str


class Building:
    """Does one build at a time for each caller. Whatever it is cut off in, it can be begun again."""

    def __init__(self, world: BuildWorld) -> None:
        self._world = world

    async def perform(self, build: Build) -> None:
        """Build until the row says what came of it. Raises Stale if somebody else moved it first."""
        world = self._world
        report = _Report(world, build.id)
        if build.state is BuildState.QUEUED:
            async with world.database.record() as tx:
                now = world.clock.now()
                build = await transitions.move_build(tx, build, BuildState.RUNNING, now=now, started_at=now)
        else:
            await report.say(["The agent was restarted: the build begins again."])
        try:
            async with world.files.workspace(build.id) as workspace:
                await self._build(build, workspace, report)
        except Stale:
            raise
        except (PaasError, OSError) as error:
            await self._fail(build, report, error)

    async def _build(self, build: Build, workspace: Path, report: "_Report") -> None:
        prepared = await self._prepare(build, workspace, report)
        async with contextlib.AsyncExitStack() as holding:
            made = await self._made_before(prepared, holding)
            if made is None:
                made = await self._make(prepared, report, holding)
            await report.say([made.description])
            await self._world.results.record(prepared.build, made, prepared.manifest)
        logger.info("%s", made.description, extra={"event": "build.succeeded", "build": prepared.build.id})

    async def _prepare(self, build: Build, workspace: Path, report: "_Report") -> _Prepared:
        """Have the source on the disk, find how it is built, and note what was found."""
        world = self._world
        app = await apps.get(world.database.reader, build.app_id)
        if app is None:
            raise Stale(f"cannot build {build.id}: its app was deleted")
        variables = await world.variables.for_build(build.app_id, build.environment)
        report.mask |= variables.mask
        try:
            async with asyncio.timeout(world.secs):
                root, build = await self._fetch(build, workspace / "source", report)
                found = await self._look(root, build, variables)
        except TimeoutError:
            raise BuildFailed(
                f"cannot build: the source was not there after {world.secs:g} s",
                hint="builds.timeout_secs in the agent's configuration allows more",
            ) from None
        build = replace(
            build,
            options=found.options,
            recipe=found.recipe.name,
            fingerprint=found.fingerprint,
            updated_at=world.clock.now(),
        )
        if build.recipe != READY_IMAGE:
            check_rollout(app, build, found.manifest)
        async with world.database.record() as tx:
            await builds.note_recipe(tx, build, now=build.updated_at)
        return _Prepared(
            build=build,
            app=app,
            tree=found.tree,
            manifest=found.manifest,
            recipe=found.recipe,
            variables=variables,
            workspace=workspace,
        )

    async def _fetch(self, build: Build, folder: Path, report: "_Report") -> tuple[Path, Build]:
        """Put the source into a new folder; give its root, and the build with the commit that it is."""
        world, source = self._world, build.source
        await asyncio.to_thread(folder.mkdir)
        if source.url is not None:
            token = await world.token_for(build.app_id, source.url)
            report.mask |= Mask([token] if token else [])
            commit = await world.fetcher.fetch(
                source.url, ref=source.commit or source.ref, token=token, into=folder, report=report
            )
            now = world.clock.now()
            build = replace(build, source=replace(source, commit=commit), updated_at=now)
            async with world.database.record() as tx:
                await builds.note_commit(tx, build, now=now)
            return folder, build
        archive = world.files.archive(build.id, source.sha256 or "")
        wanted = source.path or build.options.dockerfile or DOCKERFILE_NAME
        return await done_in_thread(unpack_source, archive, folder, world.unpack, wanted=wanted), build

    async def _look(self, root: Path, build: Build, variables: BuildVariables) -> _Found:
        """Find what is built of a source, and how: as was asked, as its manifest says, or as it looks."""
        tree = await asyncio.to_thread(folder_inside, root, build.source.path)
        manifest = await asyncio.to_thread(of_folder, tree)
        options = build.options
        if manifest is not None:
            options = manifest.build.under(options)
            path = PurePosixPath(build.source.path) / manifest.build.path
            tree = await asyncio.to_thread(folder_inside, root, str(path))
        names_image = manifest is not None and "image" in manifest.spec and options == BuildOptions()
        recipe = Recipe(name=READY_IMAGE) if names_image else await self._recipe(tree, options)
        seen = "" if recipe.name == DOCKERFILE else variables.digest
        fingerprint = await asyncio.to_thread(_fingerprint, tree, recipe, options, seen)
        return _Found(tree=tree, manifest=manifest, options=options, recipe=recipe, fingerprint=fingerprint)

    async def _recipe(self, tree: Path, options: BuildOptions) -> Recipe:
        names_dockerfile = options.dockerfile or options.target or options.args
        if options.recipe == DOCKERFILE or (options.recipe is None and names_dockerfile):
            return Recipe(name=DOCKERFILE)
        return await self._world.source_builder.detect(tree, options)

    async def _made_before(self, prepared: _Prepared, holding: contextlib.AsyncExitStack) -> Made | None:
        """Find what the same source became before, and hold it until it is recorded."""
        if prepared.build.options.no_cache:
            return None
        return await holding.enter_async_context(self._world.results.of_the_same(prepared.build))

    async def _make(
        self, prepared: _Prepared, report: BuildReport, holding: contextlib.AsyncExitStack
    ) -> Made:
        world, build = self._world, prepared.build
        if prepared.recipe.name == READY_IMAGE:
            return Made()
        if prepared.recipe.name == DOCKERFILE:
            builder = await world.open_image_builder()
            image = await builder.build(
                build,
                name=f"paas/{prepared.app.name.lower()}:{build.id}",
                context=prepared.tree,
                workspace=prepared.workspace,
                report=report,
            )
            return Made(image=image)
        await report.say([f"Building by the recipe {prepared.recipe.name}"])
        program = await world.source_builder.build(await _order(prepared), report)
        return await holding.enter_async_context(world.results.kept(program))

    async def _fail(self, build: Build, report: "_Report", error: PaasError | OSError) -> None:
        cause = error.message if isinstance(error, PaasError) else f"cannot build: {error}"
        reason = report.mask.hide(cause).encode("utf-8", "replace").decode()  # files may be called anything
        hint = error.hint if isinstance(error, PaasError) else None
        with contextlib.suppress(OSError):  # it may be what failed
            await report.say([reason, *([hint] if hint else [])])
        now = self._world.clock.now()
        async with self._world.database.record() as tx:
            await transitions.move_build(tx, build, BuildState.FAILED, now=now, reason=reason, ended_at=now)
        logger.warning("Build failed: %s", reason, extra={"event": "build.failed", "build": build.id})


async def _order(prepared: _Prepared) -> SourceOrder:
    recipe, workspace = prepared.recipe, prepared.workspace / "build"
    await asyncio.to_thread(workspace.mkdir)
    return SourceOrder(
        build_id=prepared.build.id,
        tree=prepared.tree,
        workspace=workspace,
        recipe=recipe,
        env=prepared.variables.env,
        cache_key=await asyncio.to_thread(_cache_key, prepared.build, prepared.tree, recipe),
        no_cache=prepared.build.options.no_cache,
    )


def _fingerprint(tree: Path, recipe: Recipe, options: BuildOptions, variables: str) -> str:
    """Name all that a build's result depends on."""
    how = msgspec.json.encode([recipe, replace(options, no_cache=False)], order="deterministic")
    return _digest(digest_of(tree), how.hex(), variables)


def _cache_key(build: Build, tree: Path, recipe: Recipe) -> str:
    """Name what an environment's builds may keep for each other: the same until a lockfile changes.

    A preview may be a stranger's: what it leaves must not come into the build of another environment.
    """
    contents = [digest_of_file(tree, name) for name in recipe.lockfiles]
    return _digest(build.app_id, build.environment, recipe.name, *recipe.cache, *contents)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class _Report:
    """Keeps what one build says and leaves, without secrets."""

    def __init__(self, world: BuildWorld, build_id: BuildId) -> None:
        self.mask = NOTHING
        self._world = world
        self._build_id = build_id

    async def say(self, lines: Sequence[str]) -> None:
        await self._world.logs.write(self._build_id, [self.mask.hide(line) for line in lines])

    async def made(self, image_id: str) -> None:
        async with self._world.database.record() as tx:
            await builds.note_layer(tx, image_id, now=self._world.clock.now())
