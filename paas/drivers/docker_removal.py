"""The end of an agent for good: what it has at the container engine goes with it."""

import asyncio
import contextlib
from datetime import timedelta

from paas.core.errors import Unavailable
from paas.core.ids import TaskId
from paas.docker.engine import DockerEngine, Refused
from paas.drivers.docker_calls import Containers
from paas.drivers.docker_network import Network

GRACE = timedelta(seconds=10)


async def remove_all(engine: DockerEngine, agent_id: str) -> int:
    """Stop and remove an agent's containers, then its network; returns how many they were.

    Volumes stay: they are folders. May be repeated. Raises Refused and Unavailable.
    """
    containers = Containers(engine, agent_id)
    found = await containers.all()
    async with asyncio.TaskGroup() as group:
        for task_id in found:
            group.create_task(_stop(containers, task_id), name=f"stop {task_id}")
    for task_id in found:
        await containers.remove(task_id)
    await Network(engine, agent_id).remove()
    return len(found)


async def _stop(containers: Containers, task_id: TaskId) -> None:
    with contextlib.suppress(Refused, Unavailable):  # what cannot be asked to end is killed next
        await containers.stop(task_id, GRACE)
