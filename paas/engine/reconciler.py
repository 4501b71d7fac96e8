"""The loop: the next poked deployment, a snapshot, a plan, handed to the executor."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta

from paas.core.actions import Action, StartTask
from paas.core.errors import Unavailable
from paas.core.ids import DeploymentId, TaskId
from paas.core.live import Refusal
from paas.core.model import Instance
from paas.core.plan import plan
from paas.core.ports import Driver
from paas.core.room import Room
from paas.core.snapshot import Snapshot
from paas.core.states import SERVING_DEPLOYMENT, TaskState
from paas.core.workers import stays_awake
from paas.engine.admission import Admission
from paas.engine.cpu_latency import CpuLatency
from paas.engine.executor import Executor
from paas.engine.fine_timer import FineTimer
from paas.engine.lifecycle import Lifecycle
from paas.engine.routing import route
from paas.engine.sleepers import Sleepers
from paas.engine.waker import Waker
from paas.engine.world import World
from paas.store import deployments, snapshots, tasks
from paas.store.snapshots import Stored

logger = logging.getLogger(__name__)

AGAIN_AFTER_SECS = 1.0  # a pass that failed is looked at again
UNREACHABLE_AGAIN_SECS = 5.0  # and one whose driver could not be asked; it hints when it can be again
_NO_GRACE = timedelta(0)


class Pokes:
    """Deployments to look at, each at most once, oldest poke first."""

    def __init__(self) -> None:
        self._keys: dict[DeploymentId, None] = {}
        self._some = asyncio.Event()

    def poke(self, key: DeploymentId) -> None:
        self._keys[key] = None
        self._some.set()

    async def next(self) -> DeploymentId:
        while not self._keys:
            self._some.clear()
            await self._some.wait()
        key = next(iter(self._keys))
        del self._keys[key]
        return key


class Reconciler:
    def __init__(self, world: World, pokes: Pokes) -> None:
        self._world = world
        self._pokes = pokes
        self._sleepers = Sleepers(world.database)
        self._opened_at = world.clock.now()
        self._admission = Admission(
            router=world.router,
            metering=world.metering,
            clock=world.clock,
            host_memory=world.host_memory,
            reserved_percent=world.settings.reserved_memory_percent,
            starts_at_once=world.settings.starts_at_once,
            poke=pokes.poke,
        )
        self._timers: dict[DeploymentId, asyncio.TimerHandle] = {}
        self._deployment_of: dict[str, DeploymentId] = {}

    async def run(self, opened: asyncio.Event) -> None:
        """Look at everything once, set `opened`, then follow pokes until cancelled.

        Actions under way at a cancel are given up; tasks are left running.
        """
        async with FineTimer() as timer, asyncio.TaskGroup() as group:
            lifecycle = Lifecycle(self._world, group, timer)
            executor = Executor(self._world, lifecycle, self._admission, group)
            for kind, driver in self._world.drivers.items():
                group.create_task(self._follow_hints(lifecycle, driver), name=f"hints of {kind}")
                if not await self._take_stock(lifecycle, driver):
                    group.create_task(self._take_stock_later(lifecycle, driver), name=f"stock of {kind}")
            for key in await deployments.to_look_at(self._world.database.reader):
                await self._pass(executor, key)
            opened.set()
            group.create_task(self._resync(), name="resync")
            with CpuLatency() as latency, self._world.router.woken_by(self._waker(executor, latency).wake):
                while True:
                    await self._pass(executor, await self._pokes.next())

    def _waker(self, executor: Executor, latency: CpuLatency) -> Waker:
        return Waker(
            self._world,
            sleepers=self._sleepers,
            admission=self._admission,
            executor=executor,
            latency=latency,
            begins=self._note_starts,
        )

    def _note_starts(self, stored: Stored, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, StartTask):
                self._deployment_of[action.task.id] = stored.deployment.id

    async def _pass(self, executor: Executor, key: DeploymentId) -> None:
        try:
            await self._look(executor, key)
        except Exception:  # one deployment's trouble is not another's
            logger.exception("Cannot look at a deployment", extra={"event": "pass.failed", "deployment": key})
            self._look_again(key, AGAIN_AFTER_SECS)

    async def _look(self, executor: Executor, key: DeploymentId) -> None:
        world = self._world
        # An action that ends during the reads is still counted: what was read may be older than its end.
        in_hand = executor.in_hand(key)
        commits = self._sleepers.commits()
        sleeper = self._sleepers.recall(key)
        stored = sleeper.stored if sleeper else await snapshots.read(world.database.reader, key)
        if stored is None:
            world.router.unroute(key)
            self._admission.forget(key)
            self._look_again(key, None)
            return
        for task in stored.live:
            if task.state is not TaskState.PENDING:  # thousands may sleep with one
                self._deployment_of[task.id] = key
        try:
            seen = await world.driver(stored.deployment).look([task.id for task in stored.live])
        except Unavailable as error:
            self._note_unreachable(stored, error)
            return
        # No await from here on: what the router says is still true when it is acted upon.
        now = world.clock.now()
        self._note_held(stored, seen)
        found = Snapshot(
            deployment=stored.deployment,
            has_artifact=_has_artifact(stored),
            is_current=stored.is_current,
            newer_is_current=stored.newer_is_current,
            live=stored.live,
            ended=stored.ended,
            seen=seen,
            published=world.router.published(key),
            demand=world.router.demand(key),
            in_hand=in_hand | executor.in_hand(key),
            opened_at=self._opened_at,
            can_freeze=world.freezer(stored.deployment) is not None,
            rivals=stored.rivals,
            room=self._room(stored),
            evicted_at=self._admission.evicted_at(key),
        )
        decided = plan(found, now)
        if decided.routed:
            if sleeper is None:  # else it was routed before it was kept, and nothing changed since
                route(world, stored)
                self._sleepers.keep(stored, found, now, commits)
            world.router.refuse(key, decided.refusal)
        else:
            world.router.unroute(key)
        world.router.note_frozen(
            key, (task_id for task_id, found in seen.items() if found.status == "frozen")
        )
        if decided.look_when_idle:
            world.router.poke_when_idle(key)
        self._note_starts(stored, decided.actions)
        self._admission.stand(key, in_line=decided.queues)
        executor.submit(stored, decided.actions)
        self._look_again(key, None if decided.look_again_at is None else decided.look_again_at - now)

    def _room(self, stored: Stored) -> Room:
        will_start = any(task.state is TaskState.PENDING for task in stored.live)
        return self._admission.room(stored.deployment, will_start=will_start)

    def _note_held(self, stored: Stored, seen: Mapping[TaskId, Instance]) -> None:
        alive = sum(
            task.state in (TaskState.RUNNING, TaskState.STOPPING)
            and task.id in seen
            and seen[task.id].lives
            and not stays_awake(stored.deployment, task)  # nobody could have its memory
            for task in stored.live
        )
        self._admission.note(stored.deployment, tasks=alive)

    def _look_again(self, key: DeploymentId, delay: float | None) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if delay is not None:
            self._timers[key] = asyncio.get_running_loop().call_later(max(0.0, delay), self._pokes.poke, key)

    def _note_unreachable(self, stored: Stored, error: Unavailable) -> None:
        """Answer requests that find no task with the cause, leave what runs in traffic, look again."""
        key = stored.deployment.id
        self._admission.stand(key, in_line=False)
        if stored.deployment.state in SERVING_DEPLOYMENT:
            route(self._world, stored)
            if not self._world.router.published(key):
                until = self._world.clock.now() + UNREACHABLE_AGAIN_SECS
                self._world.router.refuse(key, Refusal(reason=error.message, until=until))
        self._look_again(key, UNREACHABLE_AGAIN_SECS)

    async def _follow_hints(self, lifecycle: Lifecycle, driver: Driver) -> None:
        async for task_id in driver.hints():
            lifecycle.note_end(task_id)
            key = self._deployment_of.get(task_id)
            if key is not None:
                self._pokes.poke(key)

    async def _take_stock(self, lifecycle: Lifecycle, driver: Driver) -> bool:
        """Before anything starts: keep the ports of what runs, end what has no live row.

        Such an orphan was left by a crash, or belongs to another database. False: the driver cannot be asked.
        """
        try:
            # Before the rows are read: what starts meanwhile is in neither, or in both.
            found = await driver.survey()
            known = await tasks.live_ids(self._world.database.reader)
            for task_id, instance in found.items():
                if task_id in known:
                    if not driver.own_network:
                        lifecycle.specs.note_running(instance)
                    if instance.lives:
                        lifecycle.attend(driver, task_id)
                    continue
                logger.warning(
                    "Stopping a task without a record", extra={"event": "task.orphan", "task": task_id}
                )
                await driver.stop(task_id, grace=_NO_GRACE)
                await driver.forget(task_id)
        except Unavailable as error:
            logger.warning("Cannot take stock: %s", error.message, extra={"event": "driver.unavailable"})
            return False
        return True

    async def _take_stock_later(self, lifecycle: Lifecycle, driver: Driver) -> None:
        while not await self._take_stock(lifecycle, driver):
            await self._world.clock.sleep(UNREACHABLE_AGAIN_SECS)

    async def _resync(self) -> None:
        """Look at everything that runs from time to time, spread over the interval."""
        interval = self._world.settings.resync.total_seconds()
        while True:
            await self._world.clock.sleep(interval / 2)
            restless = await deployments.restless(self._world.database.reader)
            live = await tasks.live_ids(self._world.database.reader)
            self._deployment_of = {
                task_id: key for task_id, key in self._deployment_of.items() if task_id in live
            }
            for key in restless:
                await self._world.clock.sleep(interval / 2 / len(restless))
                self._pokes.poke(key)


def _has_artifact(stored: Stored) -> bool:
    if stored.deployment.spec.image is not None:
        return True
    return stored.artifact is not None and stored.artifact.sha256 is not None
