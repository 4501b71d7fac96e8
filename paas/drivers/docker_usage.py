"""What containers use, by their control groups: the engine need not answer."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from paas.core.ids import TaskId
from paas.drivers.usage import LastUsage, of_container


class ContainerUsage(LastUsage):
    """Knows the first process of each container that runs."""

    def __init__(self) -> None:
        super().__init__()
        self._running: dict[TaskId, tuple[int, str]] = {}  # process id, container id

    def follow(self, task_id: TaskId, found: Mapping[str, Any] | None) -> None:
        """Take in an inspected container, or that there is none any more."""
        pid = found["State"].get("Pid") if found is not None else None
        if found is not None and pid:
            self._running[task_id] = (int(pid), str(found["Id"]))
        else:
            self._running.pop(task_id, None)

    async def measure(self, task_ids: Iterable[TaskId]) -> None:
        """Note what runs of some tasks; nothing is seen of a remote engine's."""
        wanted = {task_id: self._running[task_id] for task_id in task_ids if task_id in self._running}
        if not wanted:
            return
        looks = await asyncio.to_thread(lambda: [of_container(pid, name) for pid, name in wanted.values()])
        for task_id, seen in zip(wanted, looks, strict=True):
            if task_id in self._running:
                self.note(task_id, seen)

    def forget(self, task_id: TaskId) -> None:
        super().forget(task_id)
        self._running.pop(task_id, None)
