"""Deploy again what was deployed before: promote and roll back."""

from http import HTTPStatus

from paas.api.kit.routes import Call, Reply, Route, route
from paas.api.native import answers, build_waits, params, requests


async def promote_deployment(call: Call[params.DeploymentPath, requests.Promote]) -> Reply:
    """Deploy what a deployment runs, or its source built anew, into another environment."""
    commands, deployment_id = call.parts.commands.releases, call.params.deployment_id
    if call.body.strategy == "instant":
        made = await commands.promote(deployment_id, call.body.environment)
        return _released(answers.Released(deployment_id=made.id))
    build = await commands.rebuild(deployment_id, call.body.environment)
    result = await build_waits.deployed(call.parts, build)
    return result if isinstance(result, Reply) else _released(answers.Released(deployment_id=result))


async def roll_back_app(call: Call[params.AppPath, requests.RollBack]) -> Reply:
    """Deploy an earlier version again; unless said, the one that was current before."""
    made = await call.parts.commands.releases.roll_back(
        call.params.app_id, environment=call.body.environment, version=call.body.version
    )
    return _released(answers.Released(deployment_id=made.id))


def _released(body: answers.Released) -> Reply:
    return Reply(body=body, status=HTTPStatus.CREATED)


ROUTES: tuple[Route, ...] = (
    route(
        "POST",
        "/api/v1/deployments/{deployment_id}/promote",
        promote_deployment,
        params=params.DeploymentPath,
        body=requests.Promote,
        answers={HTTPStatus.CREATED: answers.Released, HTTPStatus.ACCEPTED: answers.BuildGoesOn},
        errors=(HTTPStatus.CONFLICT,),
    ),
    route(
        "POST",
        "/api/v1/apps/{app_id}/rollback",
        roll_back_app,
        params=params.AppPath,
        body=requests.RollBack,
        answers={HTTPStatus.CREATED: answers.Released},
        errors=(HTTPStatus.CONFLICT,),
    ),
)
