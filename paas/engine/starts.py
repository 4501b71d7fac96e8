"""What all starts of tasks share: who may write, how long it may take, that it goes on."""

import asyncio

from paas.core.errors import Stale, StartFailed
from paas.core.model import Instance, Task, TaskSpec
from paas.core.states import TaskState
from paas.engine.world import World
from paas.store import transitions, volumes
from paas.store.database import Tx
from paas.store.snapshots import Stored


async def start_in_time(world: World, stored: Stored, spec: TaskSpec) -> Instance:
    """Let the driver start a task. Raises StartFailed and Unavailable."""
    limit_secs = stored.deployment.spec.start_timeout_secs
    try:
        async with asyncio.timeout(limit_secs):
            return await world.driver(stored.deployment).start(spec)
    except TimeoutError:
        raise StartFailed(f"not started after {limit_secs:g} s") from None


async def claim_volumes(
    world: World, stored: Stored, task: Task, port: int | None, started_at: float
) -> Task:
    """Record the start before it: what is recorded holds the volumes. Raises Stale if another does."""
    async with world.database.record() as tx:
        if await volumes.is_held(tx, stored.deployment, task):
            raise Stale(f"cannot start task {task.id}: another holds its volume")
        return await note_starting(tx, task, port, started_at)


async def note_starting(tx: Tx, task: Task, port: int | None, started_at: float) -> Task:
    if task.state is TaskState.STARTING:
        return task
    return await transitions.move_task(
        tx, task, TaskState.STARTING, now=started_at, port=port, started_at=started_at
    )
