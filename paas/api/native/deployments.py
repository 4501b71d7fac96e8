"""/api/v1/apps/{id}/deployments and /api/v1/deployments"""

import hashlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec

from paas.api.kit.lists import Page
from paas.api.kit.routes import Call, Reply, Route, route
from paas.api.native import answers, params, requests, views
from paas.core.ids import DeploymentId
from paas.core.model import Deployment
from paas.engine.commands import DeployRequest
from paas.specs import reading
from paas.store import deployments


async def create_deployment(call: Call[params.NewDeployment, requests.CreateDeployment]) -> Reply:
    """Deploy a new version of an app."""
    app = await views.existing_app(call.parts, call.params.app_id)
    wish = DeployRequest(
        app_id=app.id,
        environment=call.body.environment,
        spec=reading.complete(app.default_deployment_spec, call.body),
        env=reading.variables(call.body.env),
        key=call.params.idempotency_key,
        request_sha256=_sha256(call.body),
    )
    deployment = await call.parts.commands.deployments.deploy(wish)
    return Reply(body=await views.deployment(call.parts, deployment), status=HTTPStatus.CREATED)


async def list_deployments_of_app(call: Call[params.DeploymentsOfApp, None]) -> Reply:
    """List an app's deployments, newest first."""
    wanted = call.params
    app = await views.existing_app(call.parts, wanted.app_id)
    below = int(wanted.page_token) if wanted.page_token else None
    found = await deployments.of_app(
        call.parts.reader, app.id, below_version=below, limit=wanted.page_size + 1
    )
    window = found[: wanted.page_size]
    token = str(window[-1].version) if len(found) > len(window) else None
    shown = await views.deployments(call.parts, window)
    return Reply(body=answers.DeploymentWindow(deployments=shown, next_page_token=token))


async def list_deployments(call: Call[params.DeploymentList, None]) -> Reply:
    """List deployments of all apps, or of one."""
    wanted = call.params
    found, total = await deployments.page(
        call.parts.reader,
        app_id=wanted.app_id,
        sort_by=wanted.sort_by,
        descending=wanted.sort_order == "desc",
        limit=wanted.page_size,
        offset=wanted.offset,
    )
    data = await views.deployments(call.parts, found)
    return Reply(body=Page(data=data, total=total, page=wanted.page, page_size=wanted.page_size))


async def get_deployment(call: Call[params.DeploymentPath, None]) -> Reply:
    """Read a deployment with what it does just now."""
    record = await views.existing_deployment(call.parts, call.params.deployment_id)
    return Reply(body=await views.deployment(call.parts, record))


async def change_deployment(call: Call[params.DeploymentPath, requests.ChangeDeployment]) -> Reply:
    """Change the spec in place: scale it, give it other limits or bytes."""
    fields = call.body.spec
    with reading.named("spec"):
        changed = await call.parts.commands.deployments.change(
            call.params.deployment_id,
            lambda spec: reading.changed(spec, fields),
            env=reading.variables(fields.env),
        )
    return Reply(body=await views.deployment(call.parts, changed))


async def cancel_deployment(call: Call[params.DeploymentPath, None]) -> Reply:
    """End a deployment, pending or running: it never wakes again."""
    return await _asked(call, call.parts.commands.deployments.cancel)


async def sleep_deployment(call: Call[params.DeploymentPath, None]) -> Reply:
    """Put a deployment to sleep now; the next request wakes it."""
    return await _asked(call, call.parts.commands.deployments.sleep)


async def wake_deployment(call: Call[params.DeploymentPath, None]) -> Reply:
    """Wake a deployment as a request would."""
    return await _asked(call, call.parts.commands.deployments.wake)


async def restart_deployment(call: Call[params.DeploymentPath, None]) -> Reply:
    """Replace the tasks of a deployment; one that was stopped is deployed anew."""
    return await _asked(call, call.parts.commands.deployments.restart)


async def _asked(
    call: Call[params.DeploymentPath, None], command: Callable[[DeploymentId], Awaitable[Deployment]]
) -> Reply:
    record = await command(call.params.deployment_id)
    is_new = record.id != call.params.deployment_id
    return Reply(
        body=await views.deployment(call.parts, record),
        status=HTTPStatus.CREATED if is_new else HTTPStatus.OK,
    )


def _sha256(body: requests.CreateDeployment) -> str:
    """Name a request by its content, whatever the order of its fields."""
    return hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest()


_ONE = {HTTPStatus.OK: answers.Deployment}
_CONFLICT = (HTTPStatus.CONFLICT,)
_CHANGE = (HTTPStatus.CONFLICT, HTTPStatus.NOT_IMPLEMENTED)
_PATH = "/api/v1/deployments/{deployment_id}"

ROUTES: tuple[Route, ...] = (
    route(
        "POST",
        "/api/v1/apps/{app_id}/deployments",
        create_deployment,
        params=params.NewDeployment,
        body=requests.CreateDeployment,
        answers={HTTPStatus.CREATED: answers.Deployment},
        errors=_CHANGE,
    ),
    route(
        "GET",
        "/api/v1/apps/{app_id:uuid}/deployments",
        list_deployments_of_app,
        params=params.DeploymentsOfApp,
        answers={HTTPStatus.OK: answers.DeploymentWindow},
    ),
    route(
        "GET",
        "/api/v1/deployments",
        list_deployments,
        params=params.DeploymentList,
        answers={HTTPStatus.OK: Page[answers.Deployment]},
    ),
    route("GET", _PATH, get_deployment, params=params.DeploymentPath, answers=_ONE),
    route(
        "PATCH",
        _PATH,
        change_deployment,
        params=params.DeploymentPath,
        body=requests.ChangeDeployment,
        answers=_ONE,
        errors=_CHANGE,
    ),
    *(
        route("POST", f"{_PATH}/{verb}", act, params=params.DeploymentPath, answers=_ONE, errors=_CONFLICT)
        for verb, act in (
            ("cancel", cancel_deployment),
            ("sleep", sleep_deployment),
            ("wake", wake_deployment),
        )
    ),
    route(
        "POST",
        f"{_PATH}/restart",
        restart_deployment,
        params=params.DeploymentPath,
        answers={HTTPStatus.OK: answers.Deployment, HTTPStatus.CREATED: answers.Deployment},
        errors=_CONFLICT,
    ),
)
