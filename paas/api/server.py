"""The API's listener: all routes, one way to fail, and an end that waits for nobody."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

import msgspec
from aiohttp import web

from paas.api import docs_page
from paas.api.kit.auth import GUARD, LOCAL_NAMES, Guard, refuse_strangers
from paas.api.kit.connections import JsonRunner
from paas.api.kit.downloads import put_etag
from paas.api.kit.errors import answer_errors
from paas.api.kit.events import CLOSING
from paas.api.kit.openapi import document
from paas.api.kit.parts import PARTS, ApiParts
from paas.api.kit.routes import AnyJson, Call, NoParams, Reply, Route, register, route
from paas.api.native import (
    agent,
    apps,
    artifacts,
    builds,
    deployments,
    environments,
    events,
    hooks,
    logs,
    metrics,
    registries,
    releases,
    secrets,
    sources,
    tasks,
    triggers,
    variables,
)

FAREWELL_SECS = 1.0  # that requests in progress get when the server closes

ANY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - refused as names, though listened on

ROUTES: tuple[Route, ...] = (
    *docs_page.ROUTES,
    *agent.ROUTES,
    *apps.ROUTES,
    *artifacts.ROUTES,
    *builds.ROUTES,
    *deployments.ROUTES,
    *environments.ROUTES,
    *secrets.ROUTES,
    *tasks.ROUTES,
    *variables.ROUTES,
    *metrics.ROUTES,
    *registries.ROUTES,
    *sources.ROUTES,
    *hooks.ROUTES,
    *triggers.ROUTES,
    *logs.ROUTES,
    *events.ROUTES,
    *releases.ROUTES,
)


class ApiServer:
    """Serves the native API on a listener of its own."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port (of which 0 means any free one). Raises OSError."""
        runner = JsonRunner(
            self._application(host),
            access_log=None,
            auto_decompress=False,  # bytes are kept as they come
            shutdown_timeout=FAREWELL_SECS,
        )
        await runner.setup()
        self._runner = runner
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            await self.close()
            raise
        bound: int = runner.addresses[0][1]
        return bound

    async def close(self) -> None:
        """Stop listening and end every stream. Safe to repeat."""
        self._closing.set()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def _application(self, host: str) -> web.Application:
        parts = self._parts
        application = web.Application(middlewares=[answer_errors, refuse_strangers])
        application[PARTS] = parts
        application[CLOSING] = self._closing
        application[GUARD] = Guard(
            hosts=LOCAL_NAMES | {name.lower() for name in (host, *parts.allowed_hosts)} - ANY_ADDRESS,
            blocked_uids=parts.blocked_uids,
        )
        application.on_response_prepare.append(put_etag)
        register(application.router, with_openapi(ROUTES, version=parts.about.version))
        return application


def with_openapi(routes: Sequence[Route], *, version: str) -> tuple[Route, ...]:
    """Add the route that describes them all, itself included."""

    async def openapi(_: Call[NoParams, None]) -> Reply:
        """Describe this API."""
        return Reply(body=described)

    own = route("GET", "/openapi.json", openapi, params=NoParams, answers={HTTPStatus.OK: dict[str, AnyJson]})
    every = (*routes, own)
    described = msgspec.Raw(msgspec.json.encode(document(every, title="paas", version=version)))
    return every
