"""/api/v1/tasks and the tasks of one deployment."""

from http import HTTPStatus

from paas.api.kit.lists import Page, PageParams
from paas.api.kit.routes import Call, Reply, Route, route
from paas.api.native import answers, params, shapes, views
from paas.store import tasks


async def list_tasks(call: Call[PageParams, None]) -> Reply:
    """List all tasks, newest first."""
    wanted = call.params
    found, total = await tasks.page(call.parts.reader, limit=wanted.page_size, offset=wanted.offset)
    data = [shapes.task(task, node_id=call.parts.about.node_id) for task in found]
    return Reply(body=Page(data=data, total=total, page=wanted.page, page_size=wanted.page_size))


async def list_tasks_of_deployment(call: Call[params.DeploymentTasks, None]) -> Reply:
    """List the tasks of a deployment, newest first."""
    wanted = call.params
    await views.existing_deployment(call.parts, wanted.deployment_id)
    found = await tasks.of_deployment(call.parts.reader, wanted.deployment_id)
    window = found[wanted.offset : wanted.offset + wanted.page_size]
    data = [shapes.task(task, node_id=call.parts.about.node_id) for task in window]
    return Reply(body=Page(data=data, total=len(found), page=wanted.page, page_size=wanted.page_size))


async def get_task(call: Call[params.TaskPath, None]) -> Reply:
    """Read a task."""
    task = await views.existing_task(call.parts, call.params.task_id)
    return Reply(body=shapes.task(task, node_id=call.parts.about.node_id))


async def stop_task(call: Call[params.TaskPath, None]) -> Reply:
    """Ask a task to end gracefully; another may follow to hold the replica count."""
    task = await call.parts.commands.tasks.stop(call.params.task_id)
    return Reply(body=shapes.task(task, node_id=call.parts.about.node_id))


_ONE = {HTTPStatus.OK: answers.Task}
_PAGE = {HTTPStatus.OK: Page[answers.Task]}

ROUTES: tuple[Route, ...] = (
    route("GET", "/api/v1/tasks", list_tasks, params=PageParams, answers=_PAGE),
    route(
        "GET",
        "/api/v1/deployments/{deployment_id}/tasks",
        list_tasks_of_deployment,
        params=params.DeploymentTasks,
        answers=_PAGE,
    ),
    route("GET", "/api/v1/tasks/{task_id}", get_task, params=params.TaskPath, answers=_ONE),
    route("POST", "/api/v1/tasks/{task_id}/stop", stop_task, params=params.TaskPath, answers=_ONE),
)
