"""Do by hand what the engine would do, so that there is something to show."""

from paas.core.ids import DeploymentId, TaskId, new_task_id
from paas.core.states import DeploymentState, TaskState
from paas.routes import Rules
from paas.store import apps, deployments, tasks, transitions
from tests.api.conftest import Api, Json


async def activate(api: Api, deployment: Json, *, ready: int = 0) -> list[TaskId]:
    """Do what the engine would: make a deployment current, with some ready tasks."""
    async with api.database.record() as tx:
        record = await deployments.get(tx, DeploymentId(deployment["id"]))
        assert record is not None
        for state in (DeploymentState.BUILDING, DeploymentState.STARTING, DeploymentState.ACTIVE):
            record = await transitions.move_deployment(tx, record, state, now=api.clock.now())
        await apps.set_current(tx, record.app_id, record.environment, record.id)
        ids = [new_task_id() for _ in range(ready)]
        for task_id in ids:
            await tasks.insert(tx, record, task_id, now=api.clock.now())
    api.router.route(record.id, record.app_id, ["hello-default.localhost"], Rules())
    for port, task_id in enumerate(ids, start=40000):
        await begin(api, task_id, TaskState.STARTING, TaskState.RUNNING)
        api.router.publish(record.id, task_id, "127.0.0.1", port)
    return ids


async def begin(api: Api, task_id: TaskId, *states: TaskState) -> None:
    async with api.database.record() as tx:
        for state in states:
            task = await tasks.get(tx, task_id)
            assert task is not None
            await transitions.move_task(tx, task, state, now=api.clock.now())
