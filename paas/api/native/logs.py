"""What tasks wrote: of one task, of a deployment, and as a live stream."""

from collections.abc import Sequence
from http import HTTPStatus

from aiohttp import web

from paas.api.kit import events as sse
from paas.api.kit.routes import Call, Content, Reply, Route, route
from paas.api.kit.times import moment
from paas.api.native import answers, params, shapes, views
from paas.api.native.log_stream import LogStream, last_lines, read_cursors
from paas.core.masking import NOTHING
from paas.core.model import Task
from paas.store import tasks


async def deployment_logs(call: Call[params.DeploymentLogs, None]) -> Reply:
    """Read what all tasks of a deployment wrote, oldest first."""
    await views.existing_deployment(call.parts, call.params.deployment_id)
    known = await tasks.of_deployment(call.parts.reader, call.params.deployment_id)
    wanted = call.params.process
    return await _window(call, [task for task in known if wanted in (None, task.process)])


async def task_logs(call: Call[params.TaskLogs, None]) -> Reply:
    """Read what a task wrote, oldest first."""
    task = await views.existing_task(call.parts, call.params.task_id)
    return await _window(call, [task])


async def stream_deployment_logs(call: Call[params.LogStream, None]) -> web.StreamResponse:
    """Follow what the tasks of a deployment write; the id of each frame resumes after it."""
    deployment = await views.existing_deployment(call.parts, call.params.deployment_id)
    resume = call.params.header_last_event_id or call.params.last_event_id
    stream = LogStream(
        call.parts,
        deployment.id,
        cursors=None if resume is None else read_cursors(resume),
        tail=call.params.tail,
        process=call.params.process,
    )
    return await sse.stream(call.request, stream.run)


async def _window(
    call: Call[params.DeploymentLogs, None] | Call[params.TaskLogs, None], known: Sequence[Task]
) -> Reply:
    """Read what tasks of one deployment wrote."""
    since = call.params.since
    start = None if since is None else moment(since, now=call.parts.clock.now(), field="since")
    processes = {task.id: task.process for task in known}
    lines = await last_lines(call.parts.logs, processes, tail=call.params.tail, since=start)
    mask = await call.parts.variables.mask_of(known[0].deployment_id) if lines else NOTHING
    return Reply(body=[shapes.log_entry(line, processes[line.task_id], mask) for line in lines])


_WINDOW = {HTTPStatus.OK: list[answers.LogEntry]}

ROUTES: tuple[Route, ...] = (
    route(
        "GET",
        "/api/v1/deployments/{deployment_id}/logs",
        deployment_logs,
        params=params.DeploymentLogs,
        answers=_WINDOW,
    ),
    route(
        "GET",
        "/api/v1/deployments/{deployment_id}/logs/stream",
        stream_deployment_logs,
        params=params.LogStream,
        answers={HTTPStatus.OK: Content(sse.MEDIA_TYPE)},
    ),
    route("GET", "/api/v1/tasks/{task_id}/logs", task_logs, params=params.TaskLogs, answers=_WINDOW),
)
