"""/api/v1/registries: who the agent is where private images come from."""

from http import HTTPStatus

from paas.api.kit.lists import Page, PageParams
from paas.api.kit.routes import Call, Reply, Route, route
from paas.api.native import answers, params, requests, shapes
from paas.core.registries import normal_host
from paas.engine.commands.registries import not_logged_in
from paas.store import registries


async def list_registries(call: Call[PageParams, None]) -> Reply:
    """List registries by host; passwords are never shown."""
    wanted = call.params
    found, total = await registries.page(call.parts.reader, limit=wanted.page_size, offset=wanted.offset)
    data = [shapes.registry(record) for record in found]
    return Reply(body=Page(data=data, total=total, page=wanted.page, page_size=wanted.page_size))


async def get_registry(call: Call[params.RegistryPath, None]) -> Reply:
    """Read a registry; its password is never shown."""
    host = normal_host(call.params.host)
    record = await registries.get(call.parts.reader, host)
    if record is None:
        raise not_logged_in(host)
    return Reply(body=shapes.registry(record))


async def put_registry(call: Call[params.RegistryPath, requests.PutRegistry]) -> Reply:
    """Keep the user and password that a registry is asked with; replaces what was kept."""
    record = await call.parts.commands.registries.put(
        call.params.host, username=call.body.username, password=call.body.password
    )
    is_new = record.created_at == record.updated_at
    return Reply(body=shapes.registry(record), status=HTTPStatus.CREATED if is_new else HTTPStatus.OK)


async def delete_registry(call: Call[params.RegistryPath, None]) -> Reply:
    """Forget the user and password of a registry."""
    await call.parts.commands.registries.delete(call.params.host)
    return Reply(status=HTTPStatus.NO_CONTENT)


_PATH = "/api/v1/registries/{host}"

ROUTES: tuple[Route, ...] = (
    route(
        "GET",
        "/api/v1/registries",
        list_registries,
        params=PageParams,
        answers={HTTPStatus.OK: Page[answers.Registry]},
    ),
    route("GET", _PATH, get_registry, params=params.RegistryPath, answers={HTTPStatus.OK: answers.Registry}),
    route(
        "PUT",
        _PATH,
        put_registry,
        params=params.RegistryPath,
        body=requests.PutRegistry,
        answers={HTTPStatus.OK: answers.Registry, HTTPStatus.CREATED: answers.Registry},
    ),
    route(
        "DELETE",
        _PATH,
        delete_registry,
        params=params.RegistryPath,
        answers={HTTPStatus.NO_CONTENT: None},
    ),
)
