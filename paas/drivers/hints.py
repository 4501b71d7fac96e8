"""Hints that a driver gives of tasks that are not as they were."""

import asyncio
from collections.abc import AsyncGenerator

from paas.core.ids import TaskId


class Hints:
    """Tasks to look at, each once however often it was hinted."""

    def __init__(self) -> None:
        self._task_ids: dict[TaskId, None] = {}
        self._some = asyncio.Event()

    def add(self, task_id: TaskId) -> None:
        self._task_ids[task_id] = None
        self._some.set()

    async def follow(self) -> AsyncGenerator[TaskId, None]:
        """Name each hinted task, without end. For one reader."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._task_ids:
                task_id = next(iter(self._task_ids))
                del self._task_ids[task_id]
                yield task_id
