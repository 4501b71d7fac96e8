"""Deletes what retention no longer keeps: old events, tasks, versions, logs, unpacked programs."""

import logging
from collections.abc import Awaitable, Callable, Iterable

from paas.core.errors import PaasError
from paas.core.ids import TaskId
from paas.core.ports import Sweeper
from paas.core.records import dataclass
from paas.core.states import DeploymentState
from paas.engine.world import World
from paas.store import apps, artifacts, deliveries, deployments, feed, tasks, transitions

logger = logging.getLogger(__name__)

EVERY_SECS = 600.0
KEYS_KEPT_SECS = 7 * 24 * 3600.0
DELIVERIES_KEPT_SECS = 30 * 24 * 3600.0  # GitHub lets one be sent again for three days


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much history is kept, and who deletes files of what is not."""

    deployments_per_app: int
    tasks_per_deployment: int
    events: int
    keep_logs: Callable[[Iterable[TaskId]], Awaitable[None]]  # delete the logs of all other tasks
    keep_artifacts: Callable[[Iterable[str]], Awaitable[None]]  # delete bytes that no artifact owns
    keep_programs: Callable[[Iterable[str]], Awaitable[None]]  # delete all other unpacked programs
    to_roll_back_to: int = 3  # versions of each environment that served, however many came after
    also: tuple[Callable[[], Awaitable[None]], ...] = ()  # who tidies what is his own


class Janitor:
    def __init__(self, world: World, retention: Retention) -> None:
        self._world = world
        self._retention = retention

    async def run(self) -> None:
        """Tidy now and then, until cancelled. What fails is tried again the next time."""
        while True:
            try:
                await self.tidy()
            except (PaasError, OSError) as error:
                logger.warning("Cannot tidy: %s", error, extra={"event": "janitor.failed"})
            await self._world.clock.sleep(EVERY_SECS)

    async def tidy(self) -> None:
        """Delete once what is not kept. Rows go first: a file without a row is found again."""
        database, kept, now = self._world.database, self._retention, self._world.clock.now()
        for deployment in await deployments.beyond_retention(
            database.reader, keep_per_app=kept.deployments_per_app, keep_served=kept.to_roll_back_to
        ):
            async with database.record() as tx:
                if deployment.state is DeploymentState.SUPERSEDED:
                    await transitions.move_deployment(
                        tx,
                        deployment,
                        DeploymentState.STOPPED,
                        now=now,
                        reason="newer versions took its place",
                    )
                else:
                    await deployments.delete_ended(tx, deployment.id)
            self._world.poke(deployment.id)
        async with database.record() as tx:
            await apps.purge_deleted(tx)
            await tasks.delete_ended(tx, keep_per_deployment=kept.tasks_per_deployment)
            await feed.delete_old(tx, keep=kept.events)
            await deployments.forget_keys(tx, before=now - KEYS_KEPT_SECS)
            await deliveries.forget(tx, before=now - DELIVERIES_KEPT_SECS)
        await kept.keep_logs(await tasks.ids_known(database.reader))
        await kept.keep_artifacts(await artifacts.contents(database.reader))
        await kept.keep_programs(await deployments.programs_in_use(database.reader))
        for driver in self._world.drivers.values():
            if isinstance(driver, Sweeper):
                await driver.keep_only(await tasks.live_ids(database.reader))
        for tidy in kept.also:
            await tidy()
