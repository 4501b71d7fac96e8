"""/api/v1/apps"""

from http import HTTPStatus

from paas.api.kit.lists import Page
from paas.api.kit.routes import Call, NoParams, Reply, Route, route
from paas.api.native import answers, params, requests, views
from paas.core.errors import Invalid, NotFound
from paas.core.ids import is_uuid
from paas.core.model import WakePolicy
from paas.specs import reading
from paas.store import apps

RESERVED_NAMESPACES = frozenset({"by-subdomain"})  # a path of its own


async def create_app(call: Call[NoParams, requests.CreateApp]) -> Reply:
    """Create an app with its two environments, production and development."""
    body = call.body
    if body.namespace.lower() in RESERVED_NAMESPACES or is_uuid(body.namespace):
        raise Invalid(f"cannot create the namespace {body.namespace}: it is reserved", field="namespace")
    app = await call.parts.commands.apps.create(
        name=body.name,
        namespace=body.namespace,
        description=body.description,
        labels=body.labels,
        default_deployment_spec=reading.as_given(body.default_deployment_spec),
        wake_policy=_wake_policy(body.wake_policy),
    )
    return Reply(body=await views.app(call.parts, app), status=HTTPStatus.CREATED)


async def list_apps(call: Call[params.AppList, None]) -> Reply:
    """List apps."""
    wanted = call.params
    found, total = await apps.page(
        call.parts.reader,
        namespace=wanted.namespace,
        sort_by=wanted.sort_by,
        descending=wanted.sort_order == "desc",
        limit=wanted.page_size,
        offset=wanted.offset,
    )
    data = await views.apps(call.parts, found)
    return Reply(body=Page(data=data, total=total, page=wanted.page, page_size=wanted.page_size))


async def get_app(call: Call[params.AppPath, None]) -> Reply:
    """Read an app."""
    app = await views.existing_app(call.parts, call.params.app_id)
    return Reply(body=await views.app(call.parts, app))


async def get_app_by_name(call: Call[params.AppNamePath, None]) -> Reply:
    """Read an app by its namespace and name."""
    app = await apps.by_name(call.parts.reader, call.params.namespace, call.params.name)
    if app is None:
        raise NotFound(f"no app is called {call.params.namespace}/{call.params.name}", code="APP_NOT_FOUND")
    return Reply(body=await views.app(call.parts, app))


async def get_app_by_subdomain(call: Call[params.SubdomainPath, None]) -> Reply:
    """Read an app by its subdomain."""
    app = await apps.by_subdomain(call.parts.reader, call.params.subdomain)
    if app is None:
        raise NotFound(f"no app has the subdomain {call.params.subdomain}", code="APP_NOT_FOUND")
    return Reply(body=await views.app(call.parts, app))


async def update_app(call: Call[params.AppPath, requests.UpdateApp]) -> Reply:
    """Change what is given of an app and leave the rest."""
    body = call.body
    app = await call.parts.commands.apps.update(
        call.params.app_id,
        description=body.description,
        labels=body.labels,
        default_deployment_spec=reading.as_given(body.default_deployment_spec),
        wake_policy=_wake_policy(body.wake_policy),
    )
    return Reply(body=await views.app(call.parts, app))


async def delete_app(call: Call[params.AppPath, None]) -> Reply:
    """Stop everything of an app and forget it."""
    await call.parts.commands.apps.delete(call.params.app_id)
    return Reply(status=HTTPStatus.NO_CONTENT)


def _wake_policy(fields: requests.WakePolicyFields | None) -> WakePolicy | None:
    if fields is None:
        return None
    return WakePolicy(
        well_known=fields.well_known, health=fields.health, crawlers=fields.crawlers, probes=fields.probes
    )


_ONE = {HTTPStatus.OK: answers.App}
_UNSUPPORTED = (HTTPStatus.NOT_IMPLEMENTED,)

ROUTES: tuple[Route, ...] = (
    route(
        "POST",
        "/api/v1/apps",
        create_app,
        params=NoParams,
        body=requests.CreateApp,
        answers={HTTPStatus.CREATED: answers.App},
        errors=(HTTPStatus.CONFLICT, *_UNSUPPORTED),
    ),
    route(
        "GET",
        "/api/v1/apps",
        list_apps,
        params=params.AppList,
        answers={HTTPStatus.OK: Page[answers.App]},
    ),
    route(
        "GET",
        "/api/v1/apps/by-subdomain/{subdomain}",
        get_app_by_subdomain,
        params=params.SubdomainPath,
        answers=_ONE,
    ),
    route("GET", "/api/v1/apps/{app_id}", get_app, params=params.AppPath, answers=_ONE),
    route(
        "GET",
        "/api/v1/apps/{namespace:name}/{name}",
        get_app_by_name,
        params=params.AppNamePath,
        answers=_ONE,
    ),
    route(
        "PUT",
        "/api/v1/apps/{app_id}",
        update_app,
        params=params.AppPath,
        body=requests.UpdateApp,
        answers=_ONE,
        errors=_UNSUPPORTED,
    ),
    route(
        "DELETE",
        "/api/v1/apps/{app_id}",
        delete_app,
        params=params.AppPath,
        answers={HTTPStatus.NO_CONTENT: None},
    ),
)
