"""What the tests of containers do over and over."""

import asyncio

from paas.core.ids import TaskId
from paas.core.model import Instance, TaskSpec
from paas.drivers.docker import DockerDriver
from tests.contract.docker_rig import DockerRig

LIMIT_SECS = 20.0


async def until_exited(driver: DockerDriver, task_id: TaskId) -> Instance:
    async with asyncio.timeout(LIMIT_SECS):
        while True:
            instance = (await driver.look([task_id])).get(task_id)
            if instance is not None and instance.status == "exited":
                return instance
            await asyncio.sleep(0.01)


async def until_hinted(driver: DockerDriver, task_id: TaskId) -> None:
    async with asyncio.timeout(LIMIT_SECS):
        async for hinted in driver.hints():
            if hinted == task_id:
                return


async def output_of(driver: DockerDriver, rig: DockerRig, spec: TaskSpec) -> str:
    """Run a task to its end and read all that it wrote."""
    await driver.start(spec)
    await until_exited(driver, spec.task_id)
    return rig.output(spec.task_id)
