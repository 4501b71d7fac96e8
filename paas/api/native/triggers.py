"""/api/v1/apps/{id}/deploy/trigger: what is in the repository, built and deployed."""

import hashlib
from http import HTTPStatus

import msgspec

from paas.api.kit.routes import Call, Reply, Route, route
from paas.api.native import answers, build_waits, source_fields
from paas.core.errors import Invalid
from paas.core.ids import DeploymentId
from paas.engine.commands.triggers import TriggerRequest

ASYNC = "respond-async"  # RFC 7240, section 4.1


async def trigger_deployment(call: Call[source_fields.TriggerHeaders, source_fields.Trigger]) -> Reply:
    """Build what is in the app's repository and deploy it; waits up to five minutes for the build.

    Whoever leaves meanwhile cancels nothing.
    """
    body, given = call.body, call.params
    request = TriggerRequest(
        app_id=given.app_id,
        environment=body.environment,
        branch=body.branch,
        commit=body.ref,
        key=given.idempotency_key,
        request_sha256=hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest(),
    )
    if body.skip_build:
        if request.key is not None:
            raise Invalid(
                "cannot deploy: an Idempotency-Key goes with a build",
                field="Idempotency-Key",
                hint="leave it out, or skip_build",
            )
        return _created((await call.parts.commands.triggers.deploy_built(request)).id)
    build = await call.parts.commands.triggers.build(request)
    if ASYNC in (given.prefer or "").lower():
        return build_waits.goes_on(build)
    result = await build_waits.deployed(call.parts, build)
    return result if isinstance(result, Reply) else _created(result)


def _created(deployment_id: DeploymentId) -> Reply:
    return Reply(body=source_fields.Triggered(deployment_id=deployment_id), status=HTTPStatus.CREATED)


ROUTES: tuple[Route, ...] = (
    route(
        "POST",
        "/api/v1/apps/{app_id:uuid}/deploy/trigger",
        trigger_deployment,
        params=source_fields.TriggerHeaders,
        body=source_fields.Trigger,
        answers={HTTPStatus.CREATED: source_fields.Triggered, HTTPStatus.ACCEPTED: answers.BuildGoesOn},
        errors=(HTTPStatus.CONFLICT,),
    ),
)
