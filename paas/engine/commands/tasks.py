"""Ask something of one task."""

from collections.abc import Callable

from paas.core.errors import NotFound
from paas.core.ids import DeploymentId, TaskId
from paas.core.model import Task
from paas.core.ports import Clock
from paas.core.states import LIVE_TASK
from paas.store import tasks
from paas.store.database import Database


class TaskCommands:
    def __init__(self, database: Database, clock: Clock, poke: Callable[[DeploymentId], None]) -> None:
        self._database = database
        self._clock = clock
        self._poke = poke

    async def stop(self, task_id: TaskId) -> Task:
        """Ask a task to end gracefully; another may follow to hold the replica count. Repeatable."""
        async with self._database.transaction() as tx:
            task = await tasks.get(tx, task_id)
            if task is None:
                raise NotFound(f"no task has the id {task_id}", code="TASK_NOT_FOUND")
            if task.state in LIVE_TASK and not task.stop_requested:
                await tasks.request_stop(tx, task, now=self._clock.now())
        self._poke(task.deployment_id)
        return task
