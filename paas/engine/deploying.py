"""A deployment's life as actions: build, activate, end. Each may be repeated."""

import asyncio
import contextlib
import logging

from paas.core.errors import BadArchive, PaasError, Stale, Unavailable
from paas.core.ids import new_task_id
from paas.core.model import Built, Deployment
from paas.core.processes import release_of, unknown_in
from paas.core.records import replace
from paas.core.spec import RELEASE, WEB
from paas.core.states import DeploymentState
from paas.engine.lifecycle import Lifecycle
from paas.engine.routing import route
from paas.engine.world import World
from paas.store import apps, deployments, snapshots, tasks, transitions
from paas.store.database import Tx
from paas.store.snapshots import Stored

logger = logging.getLogger(__name__)

NOTE_AFTER_SECS = 0.05  # a build that takes longer is recorded as it goes on


class Deploying:
    def __init__(self, world: World, lifecycle: Lifecycle, group: asyncio.TaskGroup) -> None:
        self._world = world
        self._lifecycle = lifecycle
        self._group = group

    async def build(self, stored: Stored) -> None:
        """Make the artifact ready to run; a broken one fails the deployment with its reason.

        A quick build is recorded in one go after it, together with the tasks that are to start then.
        """
        world, deployment, artifact = self._world, stored.deployment, stored.artifact
        if artifact is None and deployment.spec.image is None:
            return  # deleted since the plan was made: it waits for another
        settled = asyncio.Event()
        noting = self._group.create_task(self._note_if_slow(deployment, settled), name="note a build")
        built = failure = None
        try:
            built = await world.builder(deployment).build(deployment, artifact)
        except (BadArchive, Unavailable) as error:
            failure = error.message
        finally:
            settled.set()
            deployment = await noting
        now = world.clock.now()
        if built is not None:
            failure = _why_not(deployment, built)
        first, count = _first_of(deployment, built)
        ids = [new_task_id() for _ in range(count)]
        async with world.database.record() as tx:
            deployment = await _note_building(tx, deployment, now)
            if built is None or failure is not None:
                await transitions.move_deployment(
                    tx, deployment, DeploymentState.FAILED, now=now, reason=failure
                )
                return
            deployment = await transitions.move_deployment(
                tx,
                deployment,
                DeploymentState.STARTING,
                now=now,
                command=built.command,
                image=built.image,
                exposed_port=built.exposed_port,
                processes=built.processes,
                release=built.release,
            )
            for task_id in ids:
                await tasks.insert(tx, deployment, task_id, now=now, process=first)
        if deployment.spec.exclusive_paths:
            await self._poke_others(stored)
        for task_id in ids if first == WEB else ():
            await self._lifecycle.prepare(replace(stored, deployment=deployment), task_id)

    async def _note_if_slow(self, deployment: Deployment, settled: asyncio.Event) -> Deployment:
        """Note beside a build that it goes on; what fails is tried again after it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NOTE_AFTER_SECS):
                await settled.wait()
        if settled.is_set():
            return deployment
        try:
            async with self._world.database.record() as tx:
                return await _note_building(tx, deployment, self._world.clock.now())
        except (PaasError, OSError) as error:
            logger.warning("Cannot record a build: %s", error, extra={"event": "record.failed"})
            return deployment

    async def activate(self, stored: Stored) -> None:
        """Make it current and supersede the one before, in one transaction."""
        world, deployment = self._world, stored.deployment
        now = world.clock.now()
        async with world.database.record() as tx:
            current = await apps.current_deployments(tx, deployment.app_id)
            before = await deployments.get(tx, current.get(deployment.environment, deployment.id))
            if before is not None and before.version > deployment.version:
                raise Stale(
                    f"cannot activate version {deployment.version}: version {before.version} was quicker"
                )
            await transitions.move_deployment(tx, deployment, DeploymentState.ACTIVE, now=now)
            await apps.set_current(tx, deployment.app_id, deployment.environment, deployment.id)
            if before is not None and before.state is DeploymentState.ACTIVE and before.id != deployment.id:
                await transitions.move_deployment(
                    tx,
                    before,
                    DeploymentState.SUPERSEDED,
                    now=now,
                    reason=f"version {deployment.version} took over",
                    slept_at=now,
                )
            changed = await snapshots.read(tx, deployment.id)
        if changed is not None:
            # Not by a pass, which others may hold up: who reads that it runs, and asks, gets its answer.
            route(world, changed)
        logger.info(
            "Deployment is active",
            extra={"event": "deployment.active", "app": stored.app.name, "deployment": deployment.id},
        )
        # The new one has its hosts; the others now drop theirs and drain.
        world.poke(deployment.id)
        for other in current.values():
            world.poke(other)

    async def end(self, stored: Stored, to: DeploymentState, reason: str) -> None:
        async with self._world.database.record() as tx:
            await transitions.move_deployment(
                tx, stored.deployment, to, now=self._world.clock.now(), reason=reason
            )
        if stored.deployment.spec.exclusive_paths:
            await self._poke_others(stored)
        logger.warning(
            "Deployment %s: %s",
            to,
            reason,
            extra={"event": f"deployment.{to}", "app": stored.app.name, "deployment": stored.deployment.id},
        )

    async def _poke_others(self, stored: Stored) -> None:
        """Let the app's current deployments see that a volume is wanted of them, or no longer."""
        for other in (await apps.current_deployments(self._world.database.reader, stored.app.id)).values():
            self._world.poke(other)


async def _note_building(tx: Tx, deployment: Deployment, now: float) -> Deployment:
    if deployment.state is not DeploymentState.QUEUED:
        return deployment
    return await transitions.move_deployment(tx, deployment, DeploymentState.BUILDING, now=now)


def _first_of(deployment: Deployment, built: Built | None) -> tuple[str, int]:
    """Say of which process tasks are made at once, and how many."""
    if built is not None and release_of(_with(deployment, built)) is not None:
        return RELEASE, 1
    return WEB, 0 if built is None else deployment.spec.replicas


def _why_not(deployment: Deployment, built: Built) -> str | None:
    """Say why what was built cannot run as the spec wants it; None: it can."""
    unknown = unknown_in(_with(deployment, built))
    if not unknown:
        return None
    return f"cannot run the process {unknown[0]}: its Procfile has no such line, and the spec no command"


def _with(deployment: Deployment, built: Built) -> Deployment:
    return replace(deployment, processes=built.processes, release=built.release)
