"""/api/v1/apps/{id}/source-config: where an app's source is."""

from http import HTTPStatus

from paas.api.kit.routes import Call, Reply, Route, route
from paas.api.kit.times import rfc3339
from paas.api.native import params, source_fields, views
from paas.core import source_config
from paas.core.errors import NotSupported
from paas.core.sources import check_path, check_ref
from paas.engine.commands.sources import SourceRequest, no_source
from paas.store import source_configs


async def get_source(call: Call[params.AppPath, None]) -> Reply:
    """Read where an app's source is; its secrets are never shown."""
    app = await views.existing_app(call.parts, call.params.app_id)
    config = await source_configs.get(call.parts.reader, app.id)
    if config is None:
        raise no_source(app.id)
    return Reply(body=_shape(config))


async def put_source(call: Call[params.AppPath, source_fields.PutSource]) -> Reply:
    """Say where an app's source is, and what of it is deployed by itself; replaces what was said."""
    body = call.body
    if body.type == "gitlab":
        raise NotSupported(
            "cannot deploy from GitLab: this version of the agent deploys from GitHub",
            field="type",
            hint="build from any Git address with POST /api/v1/builds",
        )
    config = await call.parts.commands.sources.put(
        SourceRequest(
            app_id=call.params.app_id,
            repository_url=body.repository_url,
            branch=check_ref(body.branch, field="branch"),
            path=check_path(body.path),
            auto_deploy=body.auto_deploy,
            previews=body.previews,
            environment=body.environment,
            token=body.token,
            webhook_secret=body.webhook_secret,
        )
    )
    is_new = config.created_at == config.updated_at
    return Reply(body=_shape(config), status=HTTPStatus.CREATED if is_new else HTTPStatus.OK)


async def delete_source(call: Call[params.AppPath, None]) -> Reply:
    """Forget where an app's source is, with its token and webhook secret."""
    await call.parts.commands.sources.delete(call.params.app_id)
    return Reply(status=HTTPStatus.NO_CONTENT)


def _shape(config: source_config.SourceConfig) -> source_fields.SourceConfig:
    return source_fields.SourceConfig(
        app_id=config.app_id,
        type="github",
        repository_url=config.repository_url,
        branch=config.branch,
        path=config.path,
        has_token=config.has_token,
        has_webhook_secret=config.has_webhook_secret,
        auto_deploy=config.auto_deploy,
        previews=config.previews,
        environment=config.environment,
        created_at=rfc3339(config.created_at),
        updated_at=rfc3339(config.updated_at),
    )


_PATH = "/api/v1/apps/{app_id:uuid}/source-config"

ROUTES: tuple[Route, ...] = (
    route(
        "GET",
        _PATH,
        get_source,
        params=params.AppPath,
        answers={HTTPStatus.OK: source_fields.SourceConfig},
    ),
    route(
        "PUT",
        _PATH,
        put_source,
        params=params.AppPath,
        body=source_fields.PutSource,
        answers={HTTPStatus.OK: source_fields.SourceConfig, HTTPStatus.CREATED: source_fields.SourceConfig},
        errors=(HTTPStatus.NOT_IMPLEMENTED,),
    ),
    route(
        "DELETE",
        _PATH,
        delete_source,
        params=params.AppPath,
        answers={HTTPStatus.NO_CONTENT: None},
    ),
)
