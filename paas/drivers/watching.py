"""Which tasks run, as their launchers' pidfds tell, and the hint about each that has ended."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable

from paas.core.ids import TaskId
from paas.core.model import Address, Instance
from paas.drivers.ending import Running
from paas.drivers.hints import Hints
from paas.drivers.start_script import HOST

logger = logging.getLogger(__name__)


class Watch:
    """Watches launchers until they end, then has what their tasks left running ended, then gives the hint."""

    def __init__(self, clear: Callable[[TaskId], object]) -> None:
        """Take what ends all that an ended task left; it may block, and raise OSError."""
        self.running: dict[TaskId, Running] = {}
        self.hints = Hints()  # of each that has ended, once no process of it is left
        self._clear = clear
        self._just_ended: dict[TaskId, Running] = {}
        self._ending = asyncio.Event()

    def begin(self, task_id: TaskId, *, launcher: int, pidfd: int, group: str, port: int | None) -> Running:
        """Watch a task from now on. The pidfd is closed once it has ended."""
        instance = Instance(
            task_id=task_id,
            status="up",
            address=Address(host=HOST, port=port) if port else None,
            pid=launcher,
        )
        running = Running(task_id=task_id, launcher=launcher, pidfd=pidfd, group=group, instance=instance)
        self.running[task_id] = running
        asyncio.get_running_loop().add_reader(pidfd, self._on_end, running)
        return running

    async def run(self) -> None:
        """End what tasks that ended by themselves left running, until cancelled."""
        while True:
            await self._ending.wait()
            self._ending.clear()
            while self._just_ended:
                task_id, _ = self._just_ended.popitem()
                try:
                    await asyncio.to_thread(self._clear, task_id)
                except OSError as error:
                    logger.warning("Cannot end what a task left: %s", error, extra={"task": task_id})
                self.hints.add(task_id)

    def close(self) -> None:
        """Watch no more. The tasks run on."""
        for running in self.running.values():
            asyncio.get_running_loop().remove_reader(running.pidfd)
            os.close(running.pidfd)
        self.running.clear()

    def _on_end(self, running: Running) -> None:
        asyncio.get_running_loop().remove_reader(running.pidfd)
        os.close(running.pidfd)
        with contextlib.suppress(ChildProcessError):  # an adopted one is not our child
            os.waitpid(running.launcher, os.WNOHANG)
        self.running.pop(running.task_id, None)
        running.ended.set()
        self._just_ended[running.task_id] = running
        self._ending.set()
