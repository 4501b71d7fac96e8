"""Counts and measurements: /api/v1/metrics, those of one app, deployment or task, and /metrics."""

import asyncio
from collections import defaultdict
from http import HTTPStatus

from aiohttp import web

from paas.api.kit.parts import ApiParts
from paas.api.kit.routes import Call, Content, NoParams, Reply, Route, route
from paas.api.kit.slices import gently
from paas.api.kit.times import rfc3339
from paas.api.native import metric_answers as answers
from paas.api.native import metric_shapes as shapes
from paas.api.native import params, scrape, sightings, views
from paas.api.native.sightings import Seen
from paas.core.ids import AppId
from paas.store import overview
from paas.store.overview import AppTitle

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


async def all_metrics(call: Call[NoParams, None]) -> Reply:
    """Read what all apps do and use."""
    parts = call.parts
    of_app: defaultdict[AppId, list[Seen]] = defaultdict(list)
    for seen in await sightings.of_apps(parts):
        of_app[seen.app_id].append(seen)
    titles = await overview.app_titles(parts.reader)
    measured = await parts.usage.measured([title.id for title in titles])
    data = [shapes.app(title, of_app.get(title.id, ()), measured[title.id]) async for title in gently(titles)]
    return Reply(body=answers.AllMetrics(at=rfc3339(parts.clock.now()), apps=data))


async def app_metrics(call: Call[params.AppPath, None]) -> Reply:
    """Read what an app does and uses."""
    parts = call.parts
    app = await views.existing_app(parts, call.params.app_id)
    seen = await sightings.of_apps(parts, app.id)
    measured = await parts.usage.measured([app.id])
    title = AppTitle(id=app.id, namespace=app.namespace, name=app.name)
    return Reply(body=shapes.app(title, seen, measured[app.id]))


async def deployment_metrics(call: Call[params.DeploymentPath, None]) -> Reply:
    """Read what a deployment does and uses."""
    parts = call.parts
    deployment = await views.existing_deployment(parts, call.params.deployment_id)
    seen, known = await sightings.of_deployment(parts, deployment.id, deployment.app_id)
    return Reply(body=shapes.deployment(deployment, seen, known))


async def task_metrics(call: Call[params.TaskPath, None]) -> Reply:
    """Read what a task does and uses."""
    parts = call.parts
    task = await views.existing_task(parts, call.params.task_id)
    usage = await parts.usage.measure([task.id])
    counted = parts.counts.counted(task.deployment_id)
    of_task = counted.tasks.get(task.id) if counted is not None else None
    return Reply(body=shapes.task(task, of_task, usage.get(task.id)))


async def prometheus(call: Call[NoParams, None]) -> web.StreamResponse:
    """Read all that is counted and measured, as text for Prometheus."""
    scraped = await _scrape(call.parts)
    text = await asyncio.to_thread(_write, scraped)
    return web.Response(body=text, headers={"Content-Type": PROMETHEUS})


def _write(scraped: scrape.Scrape) -> bytes:
    from paas.api.native.exposition import write  # noqa: PLC0415 - its library takes long to load

    return write(scraped)


async def _scrape(parts: ApiParts) -> scrape.Scrape:
    seen = await sightings.of_apps(parts)
    named = await overview.deployment_titles(parts.reader, [each.id for each in seen])
    titles = await overview.app_titles(parts.reader)
    return scrape.Scrape(
        about=parts.about,
        apps=titles,
        measured=await parts.usage.measured([title.id for title in titles]),
        deployments=[(named[each.id], each) for each in seen if each.id in named],
    )


ROUTES: tuple[Route, ...] = (
    route(
        "GET",
        "/api/v1/metrics",
        all_metrics,
        params=NoParams,
        answers={HTTPStatus.OK: answers.AllMetrics},
    ),
    route(
        "GET",
        "/api/v1/apps/{app_id:uuid}/metrics",
        app_metrics,
        params=params.AppPath,
        answers={HTTPStatus.OK: answers.AppMetrics},
    ),
    route(
        "GET",
        "/api/v1/deployments/{deployment_id}/metrics",
        deployment_metrics,
        params=params.DeploymentPath,
        answers={HTTPStatus.OK: answers.DeploymentMetrics},
    ),
    route(
        "GET",
        "/api/v1/tasks/{task_id}/metrics",
        task_metrics,
        params=params.TaskPath,
        answers={HTTPStatus.OK: answers.TaskMetrics},
    ),
    route(
        "GET",
        "/metrics",
        prometheus,
        params=NoParams,
        answers={HTTPStatus.OK: Content("text/plain")},
    ),
)
