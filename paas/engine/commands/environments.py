"""Create and delete environments of apps."""

from collections.abc import Callable, Iterable

from paas.core.errors import Conflict, NotFound
from paas.core.ids import AppId, DeploymentId
from paas.core.model import App, Environment
from paas.core.ports import Clock
from paas.engine.commands.ending import cancel_builds, end_deployments
from paas.engine.commands.naming import new_environment
from paas.engine.commands.versions import existing_app
from paas.store import apps, builds, deployments, environments
from paas.store.database import Database, Reader, Tx


class EnvironmentCommands:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        poke: Callable[[DeploymentId], None],
        poke_builds: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._poke = poke
        self._poke_builds = poke_builds

    async def create(self, app_id: AppId, slug: str, pull_request: int | None = None) -> Environment:
        """Create an environment, before or without a deployment in it.

        Raises NotFound for the app, and Conflict if it is there already or another has its host.
        """
        async with self._database.transaction() as tx:
            return await self.add(tx, await existing_app(tx, app_id), slug, pull_request)

    async def delete(self, app_id: AppId, slug: str) -> None:
        """Stop everything of an environment and forget it, but for the history of its versions.

        Raises NotFound, and Conflict for those that every app has.
        """
        async with self._database.transaction() as tx:
            ended = await self.remove(tx, await existing_app(tx, app_id), slug)
        self.poke_ended(ended)

    async def add(self, tx: Tx, app: App, slug: str, pull_request: int | None = None) -> Environment:
        """See `create`; for a transaction that does more."""
        if await environments.get(tx, app.id, slug) is not None:
            raise Conflict(
                f"cannot create the environment {slug} of {app.name}: it is there already",
                code="ENVIRONMENT_EXISTS",
                field="slug",
            )
        return await new_environment(tx, app, slug, now=self._clock.now(), pull_request=pull_request)

    async def remove(self, tx: Tx, app: App, slug: str) -> frozenset[DeploymentId]:
        """See `delete`; for a transaction that does more. After it, give `poke_ended` what this gives."""
        environment = await existing_environment(tx, app, slug)
        if slug in apps.FIRST_ENVIRONMENTS:
            raise Conflict(
                f"cannot delete the environment {slug} of {app.name}: every app has it",
                code="ENVIRONMENT_KEPT",
                hint="stop its deployment, or delete the app",
            )
        now = self._clock.now()
        there = [each for each in await deployments.live_of_app(tx, app.id) if each.environment == slug]
        await end_deployments(tx, there, now=now, reason="its environment was deleted")
        unfinished = [
            each
            for each in await builds.unfinished_of(tx, app.id)
            if each.rollout and each.environment == slug
        ]
        await cancel_builds(tx, unfinished, now=now, reason="its environment was deleted")
        await environments.delete(tx, environment, now=now)
        current = environment.current_deployment_id
        return frozenset((*(each.id for each in there), *(() if current is None else (current,))))

    def poke_ended(self, ended: Iterable[DeploymentId]) -> None:
        for deployment_id in ended:
            self._poke(deployment_id)
        self._poke_builds()


async def existing_environment(reader: Reader, app: App, slug: str) -> Environment:
    environment = await environments.get(reader, app.id, slug)
    if environment is None:
        raise NotFound(f"no environment of {app.name} is called {slug}", code="ENVIRONMENT_NOT_FOUND")
    return environment
