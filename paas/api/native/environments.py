"""/api/v1/apps/{id}/environments"""

from http import HTTPStatus

from paas.api.kit.lists import Page
from paas.api.kit.parts import ApiParts
from paas.api.kit.routes import Call, Reply, Route, route
from paas.api.native import answers, params, requests, views
from paas.core import model
from paas.engine.commands.environments import existing_environment
from paas.store import environments


async def create_environment(call: Call[params.AppPath, requests.CreateEnvironment]) -> Reply:
    """Create an environment. The first deployment in one creates it too."""
    made = await call.parts.commands.environments.create(call.params.app_id, call.body.slug)
    return Reply(body=await _shown(call.parts, made), status=HTTPStatus.CREATED)


async def list_environments(call: Call[params.EnvironmentList, None]) -> Reply:
    """List an app's environments, production and development first."""
    wanted = call.params
    app = await views.existing_app(call.parts, wanted.app_id)
    found, total = await environments.page(
        call.parts.reader, app.id, limit=wanted.page_size, offset=wanted.offset
    )
    data = await views.environments(call.parts, found)
    return Reply(body=Page(data=data, total=total, page=wanted.page, page_size=wanted.page_size))


async def get_environment(call: Call[params.EnvironmentPath, None]) -> Reply:
    """Read an environment with what is current in it."""
    app = await views.existing_app(call.parts, call.params.app_id)
    return Reply(
        body=await _shown(call.parts, await existing_environment(call.parts.reader, app, call.params.slug))
    )


async def delete_environment(call: Call[params.EnvironmentPath, None]) -> Reply:
    """Stop everything of an environment and forget it; production and development stay."""
    await call.parts.commands.environments.delete(call.params.app_id, call.params.slug)
    return Reply(status=HTTPStatus.NO_CONTENT)


async def _shown(parts: ApiParts, record: model.Environment) -> answers.Environment:
    return (await views.environments(parts, [record]))[0]


_LIST = "/api/v1/apps/{app_id:uuid}/environments"
_PATH = "/api/v1/apps/{app_id:uuid}/environments/{slug}"

ROUTES: tuple[Route, ...] = (
    route(
        "POST",
        _LIST,
        create_environment,
        params=params.AppPath,
        body=requests.CreateEnvironment,
        answers={HTTPStatus.CREATED: answers.Environment},
        errors=(HTTPStatus.CONFLICT,),
    ),
    route(
        "GET",
        _LIST,
        list_environments,
        params=params.EnvironmentList,
        answers={HTTPStatus.OK: Page[answers.Environment]},
    ),
    route(
        "GET",
        _PATH,
        get_environment,
        params=params.EnvironmentPath,
        answers={HTTPStatus.OK: answers.Environment},
    ),
    route(
        "DELETE",
        _PATH,
        delete_environment,
        params=params.EnvironmentPath,
        answers={HTTPStatus.NO_CONTENT: None},
        errors=(HTTPStatus.CONFLICT,),
    ),
)
