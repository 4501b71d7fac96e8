"""What an engine may leave running when nobody asks anything of it."""

from collections.abc import Iterable, Mapping

from paas.core.ids import TaskId
from paas.core.model import Deployment, Task
from paas.core.states import LIVE_TASK, SERVING_DEPLOYMENT, DeploymentState, TaskState
from paas.store import rows
from tests.engine.rig import Engine


async def what_is_not_at_rest(engine: Engine, deployed: Iterable[Deployment]) -> list[str]:
    """Name it. In the end only what may not sleep runs, and rows say what is."""
    up = set(engine.machine.up())
    reader = engine.database.reader
    tasks = {
        task.id: task for task in map(rows.task, await reader.all(f"SELECT {rows.TASK_COLUMNS} FROM tasks"))
    }
    known = {task.deployment_id: await engine.deployment(task.deployment_id) for task in tasks.values()}
    found = [f"{key} has no row" for key in up if key not in tasks]
    for task in tasks.values():
        found += _wrong_with(task, known[task.deployment_id], is_up=task.id in up)
    for each in deployed:
        demand = engine.router.demand(each.id)
        if demand.waiting or demand.in_flight:
            found.append(f"{each.id} has {demand}")
        found += _missing_workers(await engine.deployment(each.id), tasks)
    return found


def _wrong_with(task: Task, deployment: Deployment, *, is_up: bool) -> list[str]:
    found = []
    spec = deployment.spec
    stays = task.process in spec.processes and not spec.processes[task.process].sleeps
    runs = deployment.state is DeploymentState.ACTIVE and (stays or not spec.cold_start_enabled)
    allowed = {TaskState.PENDING, TaskState.RUNNING} if runs else {TaskState.PENDING}
    if task.state in LIVE_TASK and not (deployment.state in SERVING_DEPLOYMENT and task.state in allowed):
        found.append(f"{task.process} {task.id} is {task.state}, of a deployment that is {deployment.state}")
    if is_up != (task.state is TaskState.RUNNING):
        found.append(f"{task.process} {task.id} is {task.state}, and {'up' if is_up else 'not up'}")
    return found


def _missing_workers(deployment: Deployment, tasks: Mapping[TaskId, Task]) -> list[str]:
    """Name the processes that never sleep, can run, and are not as many as they should be."""
    if deployment.state is not DeploymentState.ACTIVE:
        return []
    running = [
        task.process
        for task in tasks.values()
        if task.deployment_id == deployment.id and task.state is TaskState.RUNNING
    ]
    return [
        f"{deployment.id} has {running.count(name)} of {process.replicas} {name}"
        for name, process in deployment.spec.processes.items()
        if not process.sleeps and process.command != "bad" and running.count(name) != process.replicas
    ]
