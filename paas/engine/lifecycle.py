"""One task's life as actions: prepare, start, publish, freeze, thaw; how it ends is in `endings`.

Each may be repeated, and each leaves, if it is cut off at any point, something that the
next pass recognises (architecture: what a crash can leave).
"""

import asyncio
import contextlib
import logging
import socket

from paas.core.errors import PaasError, Stale, StartFailed, Unavailable
from paas.core.ids import TaskId
from paas.core.live import Refusal
from paas.core.model import Address, Instance, Task
from paas.core.ports import Driver
from paas.core.spec import WEB
from paas.core.states import TaskState
from paas.engine.endings import Endings
from paas.engine.fine_timer import FineTimer
from paas.engine.log_pump import LogPumps
from paas.engine.probes import probe_for
from paas.engine.readiness import until_ready
from paas.engine.starts import claim_volumes, note_starting, start_in_time
from paas.engine.task_specs import TaskSpecs
from paas.engine.worker_starts import WorkerStarts
from paas.engine.world import World
from paas.store import transitions
from paas.store.snapshots import Stored

logger = logging.getLogger(__name__)

NOTE_AFTER_SECS = 0.05  # a start that takes longer is recorded as it goes on
WOKEN_FIRST_SECS = 0.005  # requests that waited are sent on their way before a wake is recorded
UNAVAILABLE_SECS = 1.0  # how long requests hear at once that what runs the tasks cannot be asked


class Lifecycle:
    def __init__(self, world: World, group: asyncio.TaskGroup, timer: FineTimer) -> None:
        self._world = world
        self._group = group
        self._timer = timer
        self.specs = TaskSpecs(world)
        self._log_pumps = LogPumps(world.copy_of_log, group)
        self.endings = Endings(world, self.specs, self._log_pumps)
        self.others = WorkerStarts(world, self.specs, self._log_pumps, self.endings)
        self._starting: set[TaskId] = set()
        self._ended: set[TaskId] = set()  # of those that start

    def note_end(self, task_id: TaskId) -> None:
        """Hear from the driver that a task ended, so that a start in hand does not wait for it."""
        if task_id in self._starting:  # else nobody waits for it
            self._ended.add(task_id)
        self.others.note_end(task_id)

    def attend(self, driver: Driver, task_id: TaskId) -> None:
        """Keep what a task writes that an earlier agent started. May be repeated."""
        self._world.task_started(task_id)
        self._log_pumps.begin(driver, task_id)

    async def prepare(self, stored: Stored, task_id: TaskId) -> None:
        """Do ahead what a start would wait for; what fails here fails again, with its reason, there."""
        try:
            port = self.specs.own_port(stored) or 0
            spec = await self.specs.of(stored, task_id, port=port)
            await self._world.driver(stored.deployment).prepare(spec)
        except PaasError as error:
            logger.warning(
                "Cannot prepare a task: %s",
                error.message,
                extra={"event": "task.unprepared", "app": stored.app.name, "task": task_id},
            )

    async def start(self, stored: Stored, task: Task) -> None:
        """Start a task of web, wait until it is ready, let it take traffic, record it.

        Recording is off the path of the request that waits: the row and the name exist already. A
        quick start is recorded in one go after it.
        """
        self._starting.add(task.id)
        try:
            await self._start(stored, task)
        finally:
            self._starting.discard(task.id)
            self._ended.discard(task.id)

    async def _start(self, stored: Stored, task: Task) -> None:
        started_at = self._world.clock.now()
        port: int | None = None
        settled = asyncio.Event()
        noting: asyncio.Task[Task] | None = None
        try:
            port = self.specs.port_for(stored, task)
            if stored.deployment.spec.exclusive_paths:
                task = await claim_volumes(self._world, stored, task, port, started_at)
            spec = await self.specs.of(stored, task.id, port=port)
            submitted_at = self._world.clock.monotonic()
            instance = await start_in_time(self._world, stored, spec)
            begun_at = self._world.clock.monotonic()
            address = instance.address or Address(host="127.0.0.1", port=port)
            noting = self._group.create_task(
                self._note_if_slow(stored, task, address.port, started_at, settled)
            )
            accepted = await self._until_ready(stored, task, instance, address)
        except Unavailable as error:  # no fault of the task's: it stays, to be started again
            settled.set()
            until = self._world.clock.now() + UNAVAILABLE_SECS
            self._world.router.refuse(stored.deployment.id, Refusal(reason=error.message, until=until))
            raise
        except Stale:
            raise
        except PaasError as error:
            settled.set()
            noted = task if noting is None else await noting
            async with self._world.database.record() as tx:
                noted = await note_starting(tx, noted, port, started_at)
            await self.endings.start_failed(stored, noted, error)
            return
        was_waited_for = self._world.router.demand(stored.deployment.id).waiting > 0
        self._world.router.publish(
            stored.deployment.id,
            task.id,
            address.host,
            address.port,
            accepted,
            submitted_at=submitted_at,
            started_at=begun_at,
        )
        ready_at = self._world.clock.now()
        if was_waited_for:
            await self._world.clock.sleep(WOKEN_FIRST_SECS)
        settled.set()
        noted = await noting
        async with self._world.database.record() as tx:
            noted = await note_starting(tx, noted, address.port, started_at)
            await transitions.move_task(tx, noted, TaskState.RUNNING, now=ready_at, ready_at=ready_at)
        took_ms = round((ready_at - started_at) * 1000, 1)
        extra = {"event": "task.ready", "app": stored.app.name, "task": task.id, "took_ms": took_ms}
        logger.info("Task is ready", extra=extra)

    async def publish_again(self, stored: Stored, task: Task) -> None:
        """Let a task that outlived the agent take traffic again."""
        driver = self._world.driver(stored.deployment)
        self._publish_found(stored, task, (await driver.look([task.id])).get(task.id))

    def _publish_found(
        self, stored: Stored, task: Task, instance: Instance | None, *, submitted_at: float | None = None
    ) -> None:
        if instance is None or instance.status != "up":
            return
        address = instance.address
        if address is None:
            raise StartFailed(f"cannot reach task {task.id}: its port is not known")
        driver = self._world.driver(stored.deployment)
        if not driver.own_network:
            self.specs.note_running(instance)
        self._world.router.publish(
            stored.deployment.id,
            task.id,
            address.host,
            address.port,
            submitted_at=submitted_at,
            started_at=None if submitted_at is None else self._world.clock.monotonic(),
        )
        self.attend(driver, task.id)

    async def freeze(self, stored: Stored, task: Task) -> None:
        """Take a task out of traffic and let it run no more; if that fails, the next pass publishes it."""
        freezer = self._world.freezer(stored.deployment)
        if freezer is None or not self._world.router.withdraw(
            stored.deployment.id, task.id, only_if_idle=True
        ):
            return
        await freezer.freeze(task.id)
        extra = {"event": "task.frozen", "app": stored.app.name, "task": task.id}
        logger.info("Task is frozen", extra=extra)

    async def thaw(self, stored: Stored, task: Task) -> None:
        """Let a frozen task go on, and take traffic again. Its listener is as it was: nothing to record."""
        freezer = self._world.freezer(stored.deployment)
        if freezer is not None:
            submitted_at = self._world.clock.monotonic()
            thawed = await freezer.thaw(task.id)
            if task.process == WEB:
                self._publish_found(stored, task, thawed, submitted_at=submitted_at)

    async def _until_ready(
        self, stored: Stored, task: Task, instance: Instance, address: Address
    ) -> socket.socket | None:
        spec = stored.deployment.spec
        if instance.status == "exited":
            raise StartFailed("it ended before it was ready")
        return await until_ready(
            address,
            timer=self._timer,
            is_alone=lambda: len(self._starting) == 1,
            probe=probe_for(spec.networking, spec.networking.port or address.port),
            timeout_secs=spec.start_timeout_secs,
            has_ended=lambda: task.id in self._ended,
            is_its_own=lambda: self._world.driver(stored.deployment).listens(task.id, address),
        )

    async def _note_if_slow(
        self, stored: Stored, task: Task, port: int, started_at: float, settled: asyncio.Event
    ) -> Task:
        """Note beside the start that it goes on; what fails is tried again after it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NOTE_AFTER_SECS):
                await settled.wait()
        try:
            self._world.task_started(task.id)
            self._log_pumps.begin(self._world.driver(stored.deployment), task.id)
            if settled.is_set():
                return task
            async with self._world.database.record() as tx:
                return await note_starting(tx, task, port, started_at)
        except (PaasError, OSError) as error:
            logger.warning("Cannot record a start: %s", error, extra={"event": "record.failed"})
            return task
