"""Deploy again what was deployed before: into another environment, or in its own."""

from collections.abc import Mapping

import msgspec

from paas.core import hosts
from paas.core.builds import Build, Rollout
from paas.core.errors import Conflict, Invalid
from paas.core.ids import AppId, DeploymentId
from paas.core.model import PRODUCTION, App, Deployment
from paas.core.records import replace
from paas.core.spec import Spec
from paas.core.states import DeploymentState
from paas.engine.commands.builds import BuildCommands, BuildRequest, SameSource
from paas.engine.commands.versions import Versions, existing_app, existing_deployment
from paas.store import apps, artifacts, builds, deployments, environments
from paas.store.database import Database, Reader, Tx

# What the build decides, and what is copied as variables.
NOT_REBUILT = frozenset({"artifact_id", "image", "process_type", "pull", "env"})


class ReleaseCommands:
    def __init__(self, database: Database, versions: Versions, builds: BuildCommands) -> None:
        self._database = database
        self._versions = versions
        self._builds = builds

    async def promote(self, deployment_id: DeploymentId, environment: str) -> Deployment:
        """Deploy what a deployment runs into an environment, whose variables apply; it stays as it is.

        Raises NotFound, and Conflict if there is nothing (any more) that could run.
        """
        async with self._database.transaction() as tx:
            source = await existing_deployment(tx, deployment_id)
            app = await existing_app(tx, source.app_id)
            made = await self._repeat(tx, app, source, environment, "promote")
        await self._versions.poke(made)
        return made

    async def rebuild(self, deployment_id: DeploymentId, environment: str) -> Build:
        """Build the source of a deployment anew, and deploy what comes of it into an environment.

        Raises NotFound, Conflict if it was made of no source that is still kept, and what `builds.create`
        does.
        """
        reader = self._database.reader
        source = await existing_deployment(reader, deployment_id)
        build = None if source.build_id is None else await builds.get(reader, source.build_id)
        if build is None:
            raise Conflict(
                f"cannot rebuild version {source.version}: no source of it is known",
                code="NO_SOURCE",
                hint='promote it with the strategy "instant", or build its source with POST /api/v1/builds',
            )
        return await self._builds.create(
            BuildRequest(
                app_id=source.app_id,
                source=SameSource(build_id=build.id),
                options=replace(build.options, no_cache=True),
                rollout=Rollout(
                    environment=environment,
                    spec=_fields(source.spec),
                    cause="promote",
                    env_of=source.id,
                ),
            )
        )

    async def roll_back(
        self, app_id: AppId, *, environment: str | None = None, version: int | None = None
    ) -> Deployment:
        """Deploy an earlier version again, in its own environment.

        Unless said: the environment that serves the app, and what was current there before. Raises NotFound
        for the app, Invalid for what is not there of it, and Conflict if there is no earlier version or
        nothing of it that could run.
        """
        async with self._database.transaction() as tx:
            app = await existing_app(tx, app_id)
            if version is None:
                target = await _before_current(tx, app, environment)
            else:
                target = await _version(tx, app, environment, version)
            made = await self._repeat(tx, app, target, target.environment, "roll back to")
        await self._versions.poke(made)
        return made

    async def _repeat(self, tx: Tx, app: App, source: Deployment, environment: str, verb: str) -> Deployment:
        spec = await _runnable(tx, source, verb)
        return await self._versions.add(
            tx, app, environment, spec, build_id=source.build_id, env_of=source.id
        )


async def _runnable(reader: Reader, source: Deployment, verb: str) -> Spec:
    """Say how to run again exactly what ran: the same bytes, or the image that the tag meant then."""
    # The port of the proxy's belongs to an environment, not to a version.
    spec = replace(source.spec, networking=replace(source.spec.networking, proxy_port=None))
    if spec.process_type == "docker" and spec.image is not None:
        return spec if source.image is None else replace(spec, image=source.image, pull="missing")
    if spec.artifact_id is None:
        raise Conflict(
            f"cannot {verb} version {source.version}: it has neither an artifact nor an image",
            code="NOTHING_TO_RUN",
            hint="deploy something first",
        )
    if await artifacts.get(reader, spec.artifact_id) is None:
        raise Conflict(
            f"cannot {verb} version {source.version}: its artifact {spec.artifact_id} was deleted",
            code="ARTIFACT_GONE",
            hint="name another version, or upload the artifact and deploy it",
        )
    return spec


async def _version(reader: Reader, app: App, environment: str | None, version: int) -> Deployment:
    """Find a version by its number. Raises Invalid, and Conflict if it is no earlier one there."""
    found = await deployments.by_version(reader, app.id, version)
    if found is None:
        raise Invalid(
            f"cannot roll {app.name} back: version {version} is not known (any more)",
            code="VERSION_NOT_FOUND",
            field="version",
            hint="`paas releases` lists those that are kept",
        )
    if environment not in (None, found.environment):
        raise Conflict(
            f"cannot roll {environment} back to version {version}: it was for {found.environment}",
            code="OTHER_ENVIRONMENT",
            hint=f"promote deployment {found.id}",
        )
    current = (await apps.current_deployments(reader, app.id)).get(found.environment)
    if current == found.id and found.state is DeploymentState.ACTIVE:
        raise Conflict(
            f"cannot roll {app.name} back: version {version} is current in {found.environment}",
            code="ALREADY_CURRENT",
            hint="name an earlier version",
        )
    return found


async def _before_current(reader: Reader, app: App, slug: str | None) -> Deployment:
    """Find what was current before in an environment; None: that which serves the app."""
    current = await apps.current_deployments(reader, app.id)
    serving = hosts.serving_deployment(current)
    slug = slug or next((name for name, each in current.items() if each == serving), PRODUCTION)
    environment = await environments.get(reader, app.id, slug)
    if environment is None:
        raise Invalid(
            f"cannot roll {app.name} back: it has no environment called {slug}",
            code="ENVIRONMENT_NOT_FOUND",
            field="environment",
        )
    now_there = current.get(slug)
    served = None if now_there is None else await existing_deployment(reader, now_there)
    before = served and await deployments.served_before(
        reader, app.id, slug, version=served.version, since=environment.created_at
    )
    if before is None:
        raise Conflict(
            f"cannot roll {app.name} back: no earlier version served in {slug}",
            code="NO_EARLIER_VERSION",
            hint="`paas releases` lists the versions that are kept",
        )
    return before


def _fields(spec: Spec) -> Mapping[str, object]:
    """Write a spec as a request would, without what the next build decides."""
    fields: dict[str, object] = msgspec.to_builtins(spec)
    networking = {**msgspec.to_builtins(spec.networking), "proxy_port": None}
    return {name: value for name, value in fields.items() if name not in NOT_REBUILT} | {
        "networking": networking
    }
