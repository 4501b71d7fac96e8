"""How tasks end: stopped, by themselves, or before they were ready."""

import asyncio
import logging
from datetime import timedelta

from paas.core.actions import RecordEnd, StopTask
from paas.core.errors import PaasError
from paas.core.live import Refusal
from paas.core.model import Task
from paas.core.spec import RELEASE, WEB
from paas.core.states import TaskState
from paas.engine.log_pump import LogPumps
from paas.engine.task_specs import TaskSpecs
from paas.engine.world import World
from paas.store import transitions
from paas.store.snapshots import Stored

logger = logging.getLogger(__name__)

LONGEST_QUOTE = 300  # characters of a line that a program wrote
SIGNALLED = 128  # a shell's exit code for a program that a signal ended is this plus the signal


class Endings:
    def __init__(self, world: World, specs: TaskSpecs, log_pumps: LogPumps) -> None:
        self._world = world
        self._specs = specs
        self._log_pumps = log_pumps

    async def stop(self, stored: Stored, action: StopTask) -> None:
        """Take a task out of traffic, let its requests end, end it, record it."""
        world, task, key = self._world, action.task, stored.deployment.id
        if not world.router.withdraw(key, task.id, only_if_idle=action.only_if_idle):
            return
        if task.state in (TaskState.STARTING, TaskState.RUNNING):
            # Before the wait for its requests: meanwhile a new request wants another task.
            async with world.database.record() as tx:
                task = await transitions.move_task(
                    tx, task, TaskState.STOPPING, now=world.clock.now(), reason=action.reason
                )
        if action.drains:
            await self._until_drained(stored, task)
        grace = timedelta(seconds=stored.deployment.spec.stop_grace_secs)
        exit_code = await world.driver(stored.deployment).stop(task.id, grace=grace)
        now = world.clock.now()
        async with world.database.record() as tx:
            await transitions.move_task(
                tx,
                task,
                TaskState.STOPPED,
                now=now,
                reason=action.reason or task.reason,
                exit_code=exit_code,
                ended_at=now,
            )
        await self._forget(stored, task)
        if task.state is not TaskState.PENDING:
            logger.info(
                "Task stopped: %s",
                action.reason,
                extra={"event": "task.stopped", "app": stored.app.name, "task": task.id},
            )

    async def record_end(self, stored: Stored, action: RecordEnd) -> None:
        """Record that a running task ended by itself."""
        task, exit_code = action.task, action.exit_code
        driver = self._world.driver(stored.deployment)
        self._world.router.withdraw(task.deployment_id, task.id)
        # Whatever it left running.
        await driver.stop(task.id, grace=timedelta(0))
        seen = (await driver.look([task.id])).get(task.id)
        oom_killed = action.oom_killed or (seen is not None and seen.oom_killed)
        reason = _how(exit_code, oom_killed=oom_killed)
        if task.process == RELEASE:
            if exit_code == 0:
                await self._record_release(stored, task)
                return
            reason += await self._last_words(stored, task)
        now = self._world.clock.now()
        async with self._world.database.record() as tx:
            await transitions.move_task(
                tx,
                task,
                TaskState.STOPPED if exit_code == 0 else TaskState.FAILED,
                now=now,
                reason=reason,
                exit_code=exit_code,
                crashed=True,
                ended_at=now,
            )
        # What runs once is not followed by another: it counts as no restart.
        await self._forget(stored, task, crashed=task.process != RELEASE, oom_killed=oom_killed)
        logger.warning("Task ended by itself: %s", reason, extra={"event": "task.ended", "task": task.id})

    async def _record_release(self, stored: Stored, task: Task) -> None:
        """Record that a release command succeeded: what everything else of its deployment waits for."""
        now = self._world.clock.now()
        async with self._world.database.record() as tx:
            await transitions.move_task(
                tx,
                task,
                TaskState.STOPPED,
                now=now,
                reason=_how(0),
                exit_code=0,
                crashed=True,  # by itself
                ended_at=now,
            )
        await self._forget(stored, task)
        extra = {"event": "task.released", "app": stored.app.name, "task": task.id}
        logger.info("Release command succeeded", extra=extra)

    async def _last_words(self, stored: Stored, task: Task) -> str:
        """Quote what an ended task wrote last, without secrets; empty if it wrote nothing."""
        await self._log_pumps.finish(self._world.driver(stored.deployment), task.id)
        self._world.task_ended(task.id)
        mask = await self._world.variables.mask_of(task.deployment_id)
        line = mask.hide((await self._world.last_line(task.id)).strip())
        return f": {line[:LONGEST_QUOTE]}" if line else ""

    async def start_failed(self, stored: Stored, task: Task, error: PaasError) -> None:
        """Record why, answer whoever waits, and leave no process."""
        driver = self._world.driver(stored.deployment)
        seen = (await driver.look([task.id])).get(task.id)
        exit_code = await driver.stop(task.id, grace=timedelta(0))
        reason = error.message
        if seen is not None and seen.status == "exited":
            seen = (await driver.look([task.id])).get(task.id, seen)  # it may know more by now
            exit_code = seen.exit_code
            reason = f"{_how(exit_code, oom_killed=seen.oom_killed)} before it was ready"
        now = self._world.clock.now()
        async with self._world.database.record() as tx:
            await transitions.move_task(
                tx,
                task,
                TaskState.FAILED,
                now=now,
                reason=reason,
                exit_code=exit_code,
                crashed=True,
                ended_at=now,
            )
        if task.process == WEB:
            self._world.router.refuse(stored.deployment.id, Refusal(reason=reason, until=now + 1))
        oom_killed = seen is not None and seen.oom_killed
        await self._forget(stored, task, crashed=True, oom_killed=oom_killed)
        logger.warning(
            "Task failed to start: %s",
            reason,
            extra={"event": "task.failed", "app": stored.app.name, "task": task.id},
        )

    async def _until_drained(self, stored: Stored, task: Task) -> None:
        drained = asyncio.Event()
        if not self._world.router.when_drained(task.id, drained.set):
            return
        try:
            async with asyncio.timeout(self._world.settings.drain.total_seconds()):
                await drained.wait()
        except TimeoutError:
            logger.warning(
                "Requests were still open when the task was stopped",
                extra={"event": "task.not_drained", "app": stored.app.name, "task": task.id},
            )

    async def _forget(
        self, stored: Stored, task: Task, *, crashed: bool = False, oom_killed: bool = False
    ) -> None:
        driver = self._world.driver(stored.deployment)
        await self._log_pumps.finish(driver, task.id)
        self._world.task_ended(task.id)
        self._specs.give_back(task.id)
        if task.state is not TaskState.PENDING or crashed:
            await self._world.metering.note_end(stored.app.id, task, crashed=crashed, oom_killed=oom_killed)
        await driver.forget(task.id)


def _how(exit_code: int | None, *, oom_killed: bool = False) -> str:
    """Say how a process ended, in words."""
    if oom_killed:
        return "it was ended because it used more memory than it may"
    if exit_code is None:
        return "it ended, its exit code is not known"
    if exit_code > SIGNALLED:
        return f"it was ended by signal {exit_code - SIGNALLED}"
    return f"it exited with {exit_code}"
