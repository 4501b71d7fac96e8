"""Performs what plan() asked for: at most one action per task, failures contained."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import assert_never

from paas.core.actions import (
    AbortStart,
    Action,
    Activate,
    Build,
    CreateTasks,
    EndDeployment,
    Evict,
    FreezeTask,
    PublishTask,
    RecordEnd,
    StartTask,
    StopTask,
    ThawTask,
)
from paas.core.errors import BadArchive, PaasError, Stale, Unavailable
from paas.core.ids import DeploymentId, new_task_id
from paas.core.model import Deployment
from paas.core.states import DeploymentState
from paas.engine.admission import Admission
from paas.engine.lifecycle import Lifecycle
from paas.engine.world import World
from paas.store import apps, deployments, tasks, transitions
from paas.store.database import Tx
from paas.store.snapshots import Stored

logger = logging.getLogger(__name__)

NOTE_AFTER_SECS = 0.05  # a build that takes longer is recorded as it goes on
AGAIN_AFTER_SECS = 1.0  # when an action failed for a reason of ours: disk full, database busy


@dataclass(frozen=True, slots=True)
class _UnderWay:
    action: Action
    performer: asyncio.Task[None]


class Executor:
    def __init__(
        self, world: World, lifecycle: Lifecycle, admission: Admission, group: asyncio.TaskGroup
    ) -> None:
        self._world = world
        self._admission = admission
        self._lifecycle = lifecycle
        self._group = group
        self._in_hand: dict[DeploymentId, dict[str, _UnderWay]] = {}

    def in_hand(self, deployment_id: DeploymentId) -> frozenset[str]:
        """Name the tasks of a deployment, and itself, that have an action under way."""
        return frozenset(self._in_hand.get(deployment_id, ()))

    def submit(self, stored: Stored, actions: tuple[Action, ...]) -> None:
        """Begin each action whose subject has none under way; the others are decided again later."""
        key = stored.deployment.id
        for action in actions:
            subject = _subject(action, key)
            in_hand = self._in_hand.setdefault(key, {})
            if isinstance(action, AbortStart):
                if subject in in_hand and isinstance(in_hand[subject].action, StartTask):
                    in_hand[subject].performer.cancel()
            elif isinstance(action, Evict):
                self._admission.evict(action.deployment_id)
            elif subject not in in_hand:
                performer = self._group.create_task(
                    self._perform(stored, action, subject), name=f"{type(action).__name__} {subject}"
                )
                in_hand[subject] = _UnderWay(action, performer)
                if isinstance(action, StartTask):
                    self._admission.begin(stored.deployment, action.task.id)
        if not self._in_hand.get(key, True):
            del self._in_hand[key]

    async def _perform(self, stored: Stored, action: Action, subject: str) -> None:
        key = stored.deployment.id
        delay = 0.0
        try:
            await self._act(stored, action)
        except Stale:
            logger.debug("Somebody else moved it first", extra={"event": "stale", "subject": subject})
        except Unavailable as error:
            delay = AGAIN_AFTER_SECS
            logger.warning(
                "Cannot perform %s now: %s",
                type(action).__name__,
                error.message,
                extra={"event": "action.unavailable", "deployment": key, "subject": subject},
            )
        except Exception:  # an action may fail, the agent may not
            delay = AGAIN_AFTER_SECS
            logger.exception(
                "Cannot perform %s",
                type(action).__name__,
                extra={"event": "action.failed", "deployment": key, "subject": subject},
            )
        finally:
            if isinstance(action, StartTask):
                self._admission.end(action.task.id)
            in_hand = self._in_hand.get(key)
            if in_hand is not None:
                in_hand.pop(subject, None)
                if not in_hand:
                    del self._in_hand[key]
            asyncio.get_running_loop().call_later(delay, self._world.poke, key)

    def _act(self, stored: Stored, action: Action) -> Awaitable[None]:
        match action:
            case Build():
                return self._build(stored)
            case CreateTasks(count=count):
                return self._create(stored, count)
            case StartTask(task=task):
                return self._lifecycle.start(stored, task)
            case PublishTask(task=task):
                return self._lifecycle.publish_again(stored, task)
            case FreezeTask(task=task):
                return self._lifecycle.freeze(stored, task)
            case ThawTask(task=task):
                return self._lifecycle.thaw(stored, task)
            case StopTask():
                return self._lifecycle.endings.stop(stored, action)
            case RecordEnd():
                return self._lifecycle.endings.record_end(stored, action)
            case Activate():
                return self._activate(stored)
            case EndDeployment(to=to, reason=reason):
                return self._end(stored, to, reason)
            case AbortStart() | Evict():
                raise AssertionError("handled by submit")
        assert_never(action)

    async def _build(self, stored: Stored) -> None:
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
        ids = [] if built is None else [new_task_id() for _ in range(deployment.spec.replicas)]
        async with world.database.record() as tx:
            deployment = await _note_building(tx, deployment, now)
            if built is None:
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
            )
            for task_id in ids:
                await tasks.insert(tx, deployment, task_id, now=now)
        if deployment.spec.exclusive_paths:
            await self._poke_others(stored)
        for task_id in ids:
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

    async def _create(self, stored: Stored, count: int) -> None:
        """Make pending tasks, and what can be prepared of their start."""
        ids = [new_task_id() for _ in range(count)]
        async with self._world.database.record() as tx:
            for task_id in ids:
                await tasks.insert(tx, stored.deployment, task_id, now=self._world.clock.now())
        for task_id in ids:
            await self._lifecycle.prepare(stored, task_id)

    async def _activate(self, stored: Stored) -> None:
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
        logger.info(
            "Deployment is active",
            extra={"event": "deployment.active", "app": stored.app.name, "deployment": deployment.id},
        )
        # The new one claims its hosts first; the others then drop theirs and drain.
        world.poke(deployment.id)
        for other in current.values():
            world.poke(other)

    async def _end(self, stored: Stored, to: DeploymentState, reason: str) -> None:
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


def _subject(action: Action, key: DeploymentId) -> str:
    match action:
        case Build() | CreateTasks() | Activate() | EndDeployment():
            return key
        case Evict(deployment_id=victim):
            return victim
        case _:
            return action.task.id
