"""/api/v1/apps/{id}/env-vars and /api/v1/deployments/{id}/env-vars, each with a .env file beside it."""

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from paas.api.kit.bodies import read_text
from paas.api.kit.parts import ApiParts
from paas.api.kit.routes import Call, Content, Reply, Route, route
from paas.api.kit.times import rfc3339
from paas.api.native import params
from paas.api.native.variable_fields import (
    AppImport,
    AppVariable,
    AppVariables,
    ChangeVariables,
    DeploymentImport,
    DeploymentVariable,
    PutVariable,
    Variable,
    Variables,
)
from paas.api.native.variable_owners import existing_owner, owner_of
from paas.core import dotenv
from paas.core.variables import VariableOwner
from paas.engine.commands import Wanted
from paas.engine.commands.variables import no_variable
from paas.engine.variables import Shown
from paas.specs.reading import variables as checked

LARGEST_FILE_BYTES = 256 * 1024
TEXT = "text/plain"


async def list_app_variables(call: Call[AppVariables, None]) -> Reply:
    """List the variables of an app, or of one of its environments; secrets without their values."""
    return Reply(body=await _listed(call.parts, await existing_owner(call.parts, call.params)))


async def list_deployment_variables(call: Call[params.DeploymentPath, None]) -> Reply:
    """List a deployment's own variables; secrets without their values."""
    return Reply(body=await _listed(call.parts, await owner_of(call.parts, call.params)))


async def get_app_variable(call: Call[AppVariable, None]) -> Reply:
    """Read a variable of an app or environment; a secret without its value."""
    return Reply(body=await _one(call.parts, await existing_owner(call.parts, call.params), call.params.name))


async def get_deployment_variable(call: Call[DeploymentVariable, None]) -> Reply:
    """Read a deployment's own variable; a secret without its value."""
    return Reply(body=await _one(call.parts, await owner_of(call.parts, call.params), call.params.name))


async def put_app_variable(call: Call[AppVariable, PutVariable]) -> Reply:
    """Set a variable of an app or environment; running tasks are replaced one after the other."""
    return await _put(call.parts, await owner_of(call.parts, call.params), call.params.name, call.body)


async def put_deployment_variable(call: Call[DeploymentVariable, PutVariable]) -> Reply:
    """Set a deployment's own variable; its running tasks are replaced one after the other."""
    return await _put(call.parts, await owner_of(call.parts, call.params), call.params.name, call.body)


async def delete_app_variable(call: Call[AppVariable, None]) -> Reply:
    """Forget a variable of an app or environment; running tasks are replaced likewise."""
    return await _delete(call.parts, await owner_of(call.parts, call.params), call.params.name)


async def delete_deployment_variable(call: Call[DeploymentVariable, None]) -> Reply:
    """Forget a deployment's own variable; what the app or environment sets shows again."""
    return await _delete(call.parts, await owner_of(call.parts, call.params), call.params.name)


async def change_app_variables(call: Call[AppVariables, ChangeVariables]) -> Reply:
    """Set and, by null, forget several variables of an app or environment at once."""
    return await _change(
        call.parts, await owner_of(call.parts, call.params), call.body.env, secret=call.body.secret
    )


async def change_deployment_variables(call: Call[params.DeploymentPath, ChangeVariables]) -> Reply:
    """Set and, by null, forget several of a deployment's own variables at once."""
    return await _change(
        call.parts, await owner_of(call.parts, call.params), call.body.env, secret=call.body.secret
    )


async def export_app_variables(call: Call[AppVariables, None]) -> web.Response:
    """Write the variables of an app or environment as a .env file; secrets are named in comments."""
    return await _exported(call.parts, await existing_owner(call.parts, call.params))


async def export_deployment_variables(call: Call[params.DeploymentPath, None]) -> web.Response:
    """Write a deployment's own variables as a .env file; secrets are named in comments."""
    return await _exported(call.parts, await owner_of(call.parts, call.params))


async def import_app_variables(call: Call[AppImport, None]) -> Reply:
    """Lay the variables of a .env file over those of an app or environment."""
    return await _change(
        call.parts,
        await owner_of(call.parts, call.params),
        await _file(call.request),
        secret=call.params.secret,
    )


async def import_deployment_variables(call: Call[DeploymentImport, None]) -> Reply:
    """Lay the variables of a .env file over a deployment's own."""
    return await _change(
        call.parts,
        await owner_of(call.parts, call.params),
        await _file(call.request),
        secret=call.params.secret,
    )


async def _listed(parts: ApiParts, owner: VariableOwner) -> Variables:
    return Variables(variables=[_shape(each, owner) for each in await parts.variables.shown(owner)])


async def _one(parts: ApiParts, owner: VariableOwner, name: str) -> Variable:
    for each in await parts.variables.shown(owner):
        if each.name == name:
            return _shape(each, owner)
    raise no_variable(name)


async def _put(parts: ApiParts, owner: VariableOwner, name: str, body: PutVariable) -> Reply:
    wanted = Wanted(values=_values(checked({name: body.value})), secret=body.secret)
    await parts.commands.variables.put(owner, wanted)
    shown = await _one(parts, owner, name)
    is_new = shown.created_at == shown.updated_at
    return Reply(body=shown, status=HTTPStatus.CREATED if is_new else HTTPStatus.OK)


async def _delete(parts: ApiParts, owner: VariableOwner, name: str) -> Reply:
    await parts.commands.variables.delete(owner, [name])
    return Reply(status=HTTPStatus.NO_CONTENT)


async def _change(
    parts: ApiParts, owner: VariableOwner, given: Mapping[str, str | None], *, secret: bool | None
) -> Reply:
    deleted = [name for name, value in checked(dict(given)).items() if value is None]
    wanted = Wanted(values=_values(given), deleted=deleted, secret=secret)
    await parts.commands.variables.put(owner, wanted)
    return Reply(body=await _listed(parts, owner))


async def _file(request: web.Request) -> Mapping[str, str]:
    return dotenv.parse(await read_text(request, LARGEST_FILE_BYTES))


async def _exported(parts: ApiParts, owner: VariableOwner) -> web.Response:
    shown = await parts.variables.shown(owner)
    hidden = "".join(f"# {each.name} is a secret\n" for each in shown if each.is_secret)
    values = {each.name: each.value for each in shown if each.value is not None}
    return web.Response(text=hidden + dotenv.render(values), content_type=TEXT)


def _values(given: Mapping[str, str | None]) -> Mapping[str, str]:
    return {name: value for name, value in given.items() if value is not None}


def _shape(shown: Shown, owner: VariableOwner) -> Variable:
    return Variable(
        name=shown.name,
        value=shown.value,
        secret=shown.is_secret,
        level=owner.level.value,
        environment=owner.environment,
        created_at=rfc3339(shown.created_at),
        updated_at=rfc3339(shown.updated_at),
    )


_APP, _DEPLOYMENT = "/api/v1/apps/{app_id:uuid}", "/api/v1/deployments/{deployment_id}"
_LIST = {HTTPStatus.OK: Variables}
_ONE = {HTTPStatus.OK: Variable}
_PUT = {HTTPStatus.OK: Variable, HTTPStatus.CREATED: Variable}
_GONE = {HTTPStatus.NO_CONTENT: None}
_FILE = {HTTPStatus.OK: Content(TEXT)}
_ENDED = (HTTPStatus.CONFLICT,)

ROUTES: tuple[Route, ...] = (
    route("GET", f"{_APP}/env-vars", list_app_variables, params=AppVariables, answers=_LIST),
    route(
        "PATCH",
        f"{_APP}/env-vars",
        change_app_variables,
        params=AppVariables,
        body=ChangeVariables,
        answers=_LIST,
        errors=_ENDED,
    ),
    route("GET", f"{_APP}/env-vars/{{name}}", get_app_variable, params=AppVariable, answers=_ONE),
    route(
        "PUT",
        f"{_APP}/env-vars/{{name}}",
        put_app_variable,
        params=AppVariable,
        body=PutVariable,
        answers=_PUT,
        errors=_ENDED,
    ),
    route(
        "DELETE",
        f"{_APP}/env-vars/{{name}}",
        delete_app_variable,
        params=AppVariable,
        answers=_GONE,
        errors=_ENDED,
    ),
    route("GET", f"{_APP}/env-file", export_app_variables, params=AppVariables, answers=_FILE),
    route(
        "POST",
        f"{_APP}/env-file",
        import_app_variables,
        params=AppImport,
        body=Content(TEXT, may_be_empty=True),
        answers=_LIST,
        errors=_ENDED,
    ),
    route(
        "GET",
        f"{_DEPLOYMENT}/env-vars",
        list_deployment_variables,
        params=params.DeploymentPath,
        answers=_LIST,
    ),
    route(
        "PATCH",
        f"{_DEPLOYMENT}/env-vars",
        change_deployment_variables,
        params=params.DeploymentPath,
        body=ChangeVariables,
        answers=_LIST,
        errors=_ENDED,
    ),
    route(
        "GET",
        f"{_DEPLOYMENT}/env-vars/{{name}}",
        get_deployment_variable,
        params=DeploymentVariable,
        answers=_ONE,
    ),
    route(
        "PUT",
        f"{_DEPLOYMENT}/env-vars/{{name}}",
        put_deployment_variable,
        params=DeploymentVariable,
        body=PutVariable,
        answers=_PUT,
        errors=_ENDED,
    ),
    route(
        "DELETE",
        f"{_DEPLOYMENT}/env-vars/{{name}}",
        delete_deployment_variable,
        params=DeploymentVariable,
        answers=_GONE,
        errors=_ENDED,
    ),
    route(
        "GET",
        f"{_DEPLOYMENT}/env-file",
        export_deployment_variables,
        params=params.DeploymentPath,
        answers=_FILE,
    ),
    route(
        "POST",
        f"{_DEPLOYMENT}/env-file",
        import_deployment_variables,
        params=DeploymentImport,
        body=Content(TEXT, may_be_empty=True),
        answers=_LIST,
        errors=_ENDED,
    ),
)
