"""Performs what plan() asked for: at most one action per task, failures contained."""

import asyncio
import logging
from collections.abc import Awaitable
from functools import partial
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
from paas.core.errors import Stale, Unavailable
from paas.core.ids import DeploymentId, new_task_id
from paas.core.records import dataclass
from paas.core.spec import WEB
from paas.engine.admission import Admission
from paas.engine.deploying import Deploying
from paas.engine.lifecycle import Lifecycle
from paas.engine.world import World
from paas.store import tasks
from paas.store.snapshots import Stored

logger = logging.getLogger(__name__)

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
        self._deploying = Deploying(world, lifecycle, group)
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
                return self._deploying.build(stored)
            case CreateTasks(count=count, process=process):
                return self._create(stored, count, process)
            case StartTask(task=task) if task.process == WEB:
                return self._lifecycle.start(stored, task)
            case StartTask(task=task):
                return self._lifecycle.others.start(stored, task, partial(self._admission.end, task.id))
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
                return self._deploying.activate(stored)
            case EndDeployment(to=to, reason=reason):
                return self._deploying.end(stored, to, reason)
            case AbortStart() | Evict():
                raise AssertionError("handled by submit")
        assert_never(action)

    async def _create(self, stored: Stored, count: int, process: str) -> None:
        """Make pending tasks, and what can be prepared of their start, if requests may wait for it."""
        ids = [new_task_id() for _ in range(count)]
        async with self._world.database.record() as tx:
            for task_id in ids:
                await tasks.insert(
                    tx, stored.deployment, task_id, now=self._world.clock.now(), process=process
                )
        for task_id in ids if process == WEB else ():
            await self._lifecycle.prepare(stored, task_id)


def _subject(action: Action, key: DeploymentId) -> str:
    match action:
        case Build() | CreateTasks() | Activate() | EndDeployment():
            return key
        case Evict(deployment_id=victim):
            return victim
        case _:
            return action.task.id
