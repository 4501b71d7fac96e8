"""Set and delete variables; what runs with others is replaced, one task after the other."""

from collections.abc import Callable, Collection

from paas.core.errors import Conflict, NotFound
from paas.core.ids import DeploymentId
from paas.core.ports import Clock
from paas.core.states import LIVE_DEPLOYMENT
from paas.core.variables import Level, VariableOwner
from paas.engine.commands.boxes import Boxes, Wanted
from paas.engine.commands.naming import ensure_environment
from paas.engine.commands.versions import existing_app, existing_deployment
from paas.store import variables
from paas.store.database import Database, Tx


class VariableCommands:
    def __init__(
        self, database: Database, boxes: Boxes, clock: Clock, poke: Callable[[DeploymentId], None]
    ) -> None:
        self._database = database
        self._boxes = boxes
        self._clock = clock
        self._poke = poke

    async def put(self, owner: VariableOwner, wanted: Wanted) -> None:
        """Lay variables over an owner's: one roll of its tasks, however many they are; none if none differs.

        Raises NotFound for the app or deployment, Conflict if that has ended, Invalid for too much, and
        Unavailable if the key cannot be used.
        """
        async with self._database.transaction() as tx:
            await self._check(tx, owner)
            concerned = await self._lay(tx, owner, wanted)
        for deployment_id in concerned:
            self._poke(deployment_id)

    async def delete(self, owner: VariableOwner, names: Collection[str]) -> None:
        """Forget variables, all or none. Raises what `put` does, and NotFound for one that is not there."""
        async with self._database.transaction() as tx:
            await self._check(tx, owner)
            known = {box.name for box in await variables.of_owners(tx, [owner])}
            for name in names:
                if name not in known:
                    raise no_variable(name)
            concerned = await self._lay(tx, owner, Wanted(deleted=names))
        for deployment_id in concerned:
            self._poke(deployment_id)

    async def _lay(self, tx: Tx, owner: VariableOwner, wanted: Wanted) -> list[DeploymentId]:
        now = self._clock.now()
        if not await self._boxes.lay(tx, owner, wanted, now=now):
            return []
        return await variables.bump_revisions(tx, owner, now=now)

    async def _check(self, tx: Tx, owner: VariableOwner) -> None:
        app = await existing_app(tx, owner.app_id)
        if owner.environment is not None:
            await ensure_environment(tx, app, owner.environment, now=self._clock.now())
        if owner.level is not Level.DEPLOYMENT or owner.deployment_id is None:
            return
        deployment = await existing_deployment(tx, owner.deployment_id)
        if deployment.state not in LIVE_DEPLOYMENT:
            raise Conflict(
                f"cannot set variables of deployment {deployment.id}: it is {deployment.state}",
                code="DEPLOYMENT_ENDED",
                hint="deploy a new version",
            )


def no_variable(name: str) -> NotFound:
    return NotFound(f"no variable is called {name} here", code="VARIABLE_NOT_FOUND")
