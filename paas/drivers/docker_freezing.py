"""Freeze and thaw containers: by their control group's file, a tenth of what the engine's pause takes.

The engine goes on to say "running" of a container that was frozen by its file, so that the file is what
is believed. Where it cannot be found (a remote engine, another process namespace), the engine pauses.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paas.core.ids import TaskId
from paas.docker.engine import Refused
from paas.drivers import freezing
from paas.drivers.docker_calls import Containers


class ContainerFreezer:
    """For whoever is alone with a task. Raises Refused and Unavailable, as the engine's calls do."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self._files: dict[TaskId, Path] = {}  # of those that we froze, or found frozen

    async def freeze(self, task_id: TaskId) -> None:
        """Freeze a container that runs; nothing if it does not."""
        found = await self._containers.inspect(task_id)
        if found is None or not found["State"]["Running"]:
            return
        file = _file_of(found)
        if file is not None:
            freezing.freeze(file)
            self._files[task_id] = file
        elif not found["State"]["Paused"]:
            await self._pause(task_id)

    async def _pause(self, task_id: TaskId) -> None:
        try:
            await self._containers.pause(task_id)
        except Refused:
            found = await self._containers.inspect(task_id)
            if found is not None and found["State"]["Running"]:  # else it ended meanwhile
                raise

    async def thaw(self, task_id: TaskId) -> bool:
        """Let a container run again; yes if it was done by a file, and the engine need not be asked."""
        file = self._files.pop(task_id, None)
        if file is not None:
            freezing.thaw(file)
            return True
        found = await self._containers.inspect(task_id)
        if found is None or not found["State"]["Running"]:
            return False
        if self.is_frozen(task_id, found):
            freezing.thaw(self._files.pop(task_id))
        if found["State"]["Paused"]:
            await self._containers.unpause(task_id)
        return False

    def is_frozen(self, task_id: TaskId, found: Mapping[str, Any]) -> bool:
        """Say whether an inspected container that the engine calls running is frozen by its file."""
        if not found["State"]["Running"] or found["State"]["Paused"]:
            return False
        file = _file_of(found)
        if file is None or not freezing.is_frozen(file):
            return False
        self._files[task_id] = file
        return True

    def forget(self, task_id: TaskId) -> None:
        self._files.pop(task_id, None)


def _file_of(found: Mapping[str, Any]) -> Path | None:
    """Find a container's freezer; its group carries its id, else the process is somebody else's."""
    file = freezing.freezer_of_process(int(found["State"]["Pid"]))
    return file if file is not None and found["Id"] in file.parent.name else None
