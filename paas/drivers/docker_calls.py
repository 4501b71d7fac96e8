"""What is asked of the engine about the containers of one agent, and of no others."""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from paas.core.ids import TaskId
from paas.docker.engine import DockerEngine, Refused
from paas.drivers.docker_containers import SPEC_LABEL, TASK_LABEL, is_unstarted, name_of
from paas.drivers.docker_network import OWNER_LABEL

NAME_TAKEN = "name is already in use"  # as Podman says it, with 500
SETTING_UP_SECS = 50.0  # a busy machine takes its time for a container's network and mounts


class Containers:
    """Every call raises Refused with the engine's sentence, and Unavailable when it does not answer."""

    def __init__(self, engine: DockerEngine, agent_id: str) -> None:
        self._engine = engine
        self._agent_id = agent_id

    async def all(self) -> dict[TaskId, str]:
        """Give the state of each, by its task."""
        filters = {"label": [f"{OWNER_LABEL}={self._agent_id}"]}
        async with self._engine.asked("list the containers") as docker:
            containers = await docker.containers.list(all=True, filters=json.dumps(filters))
        listed = {}
        for each in containers:
            task_id = TaskId(each["Labels"].get(TASK_LABEL, ""))
            if f"/{name_of(task_id)}" in each["Names"]:  # an image may bring labels, but no name
                listed[task_id] = str(each["State"])
        return listed

    async def inspect(self, task_id: TaskId) -> Mapping[str, Any] | None:
        """Read a task's container; None where there is none, or it is somebody else's."""
        try:
            async with self._engine.asked(f"inspect task {task_id}") as docker:
                found = await docker.containers.container(name_of(task_id)).show()
        except Refused as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return found if (found["Config"]["Labels"] or {}).get(OWNER_LABEL) == self._agent_id else None

    async def make(self, task_id: TaskId, body: Mapping[str, Any]) -> bool:
        """Create a container; one that was made for the same is taken, one for something else replaced.

        No: it was started already, as by a call that was given up and came through all the same.
        """
        try:
            await self._create(task_id, body)
        except Refused as error:
            if error.status != HTTPStatus.CONFLICT and NAME_TAKEN not in error.message:
                raise
            found = await self.inspect(task_id)
            if found is None:
                raise
            if not is_unstarted(found):
                return False
            if found["Config"]["Labels"].get(SPEC_LABEL) != body["Labels"][SPEC_LABEL]:
                await self.remove(task_id)
                await self._create(task_id, body)
        return True

    async def _create(self, task_id: TaskId, body: Mapping[str, Any]) -> None:
        async with self._engine.asked(f"create task {task_id}", more_secs=SETTING_UP_SECS) as docker:
            await docker.containers.create(body, name=name_of(task_id))

    async def start(self, task_id: TaskId) -> None:
        """Start a container; one that runs already is left as it is."""
        async with self._engine.asked(f"start task {task_id}", more_secs=SETTING_UP_SECS) as docker:
            await docker.containers.container(name_of(task_id)).start()

    async def stop(self, task_id: TaskId, grace: timedelta) -> None:
        """End a container by its stop signal, and after `grace`, rounded up to seconds, by SIGKILL."""
        secs = math.ceil(grace.total_seconds())
        with _absent_is_fine():
            async with self._engine.asked(f"stop task {task_id}", more_secs=secs + SETTING_UP_SECS) as docker:
                await docker.containers.container(name_of(task_id)).stop(t=secs)

    async def pause(self, task_id: TaskId) -> None:
        async with self._engine.asked(f"pause task {task_id}") as docker:
            await docker.containers.container(name_of(task_id)).pause()

    async def unpause(self, task_id: TaskId) -> None:
        async with self._engine.asked(f"unpause task {task_id}") as docker:
            await docker.containers.container(name_of(task_id)).unpause()

    async def remove(self, task_id: TaskId) -> None:
        """Delete a task's container, with its nameless volumes; what runs of it is killed."""
        if await self.inspect(task_id) is None:
            return
        with _absent_is_fine():
            async with self._engine.asked(f"remove task {task_id}", more_secs=SETTING_UP_SECS) as docker:
                await docker.containers.container(name_of(task_id)).delete(force=True, v=True)


@contextlib.contextmanager
def _absent_is_fine() -> Iterator[None]:
    try:
        yield
    except Refused as error:
        # The second is "removal is already in progress".
        if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
            raise
