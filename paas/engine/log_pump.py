"""Copies what tasks write into their logs, for drivers whose tasks do not write there themselves."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from paas.core.errors import PaasError
from paas.core.ids import TaskId
from paas.core.ports import Driver, Writer
from paas.log_copy import LogCopy

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECS = 0.1
LONGEST_PAUSE_SECS = 5.0
QUIET_SECS = 5.0  # an ended task whose output gives nothing for so long is not waited for any more


class LogPumps:
    """One pump a task, from its start or its adoption until its last byte."""

    def __init__(self, copy_of: Callable[[TaskId], LogCopy], group: asyncio.TaskGroup) -> None:
        self._copy_of = copy_of
        self._group = group
        self._running: dict[TaskId, tuple[_Pump, asyncio.Task[None]]] = {}

    def begin(self, driver: Driver, task_id: TaskId) -> None:
        """Copy what a task writes, from where the last copy stopped. May be repeated."""
        if isinstance(driver, Writer) and task_id not in self._running:
            pump = _Pump(driver, task_id, self._copy_of(task_id))
            self._running[task_id] = pump, self._group.create_task(pump.run(), name=f"log of {task_id}")

    async def finish(self, driver: Driver, task_id: TaskId) -> None:
        """Wait until all that an ended task wrote is copied, for as long as something comes.

        Where its driver is away, copying goes on by itself when it is back.
        """
        self.begin(driver, task_id)
        if task_id not in self._running:
            return
        pump, copying = self._running[task_id]
        before = -1
        while not copying.done() and pump.pieces > before:
            before = pump.pieces
            await asyncio.wait([copying], timeout=QUIET_SECS)
        if not copying.done() and not pump.is_away:
            extra = {"event": "log.cut", "task": task_id}
            logger.warning("The end of what a task wrote could not be copied", extra=extra)
            copying.cancel()
        copying.add_done_callback(lambda _: self._running.pop(task_id, None))


class _Pump:
    def __init__(self, driver: Writer, task_id: TaskId, copy: LogCopy) -> None:
        self.pieces = 0  # copied so far
        self.is_away = False  # the driver could not be asked the last time
        self._driver = driver
        self._task_id = task_id
        self._copy = copy

    async def run(self) -> None:
        """Copy until the last byte; what breaks off is gone on with, with patience."""
        pause_secs = FIRST_PAUSE_SECS
        while True:
            before = self.pieces
            try:
                await self._follow()
            except (PaasError, OSError, ValueError) as error:
                if not self.is_away:
                    extra = {"event": "log.interrupted", "task": self._task_id}
                    logger.info("Cannot copy what a task writes now: %s", error, extra=extra)
                self.is_away = True
            else:
                return
            if self.pieces > before:
                pause_secs = FIRST_PAUSE_SECS
            await asyncio.sleep(pause_secs)
            pause_secs = min(2 * pause_secs, LONGEST_PAUSE_SECS)

    async def _follow(self) -> None:
        # In threads: a disk that is slow to take a flood must not hold up traffic.
        after = await asyncio.to_thread(self._copy.resume)
        async with contextlib.aclosing(self._driver.output(self._task_id, after)) as pieces:
            async for cursor, content in pieces:
                await asyncio.to_thread(self._copy.append, content, cursor)
                self.pieces += 1
                self.is_away = False
        await asyncio.to_thread(self._copy.finish)
