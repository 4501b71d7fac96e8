"""/api/v1/events: a list, or with Accept: text/event-stream a stream."""

from http import HTTPStatus

import msgspec
from aiohttp import web

from paas.api.kit import events as sse
from paas.api.kit.routes import Call, Content, Reply, Route, route
from paas.api.native import answers, params, shapes
from paas.store import feed

NEWEST = 2**62


async def events(call: Call[params.EventList, None]) -> Reply | web.StreamResponse:
    """List events, or follow them."""
    return await (_follow(call) if sse.is_wanted(call.request) else _list(call))


async def _list(call: Call[params.EventList, None]) -> Reply:
    wanted = call.params
    last = await call.parts.feed.last_seq()
    found = await feed.read(
        call.parts.reader,
        NEWEST if wanted.after is None else wanted.after,
        app_id=wanted.app_id,
        deployment_id=wanted.deployment_id,
        limit=wanted.limit,
        newest_first=wanted.after is None,
    )
    found.sort(key=lambda event: event.seq)
    return Reply(body=answers.Events(events=[shapes.event(event) for event in found], last_seq=last))


async def _follow(call: Call[params.EventList, None]) -> web.StreamResponse:
    wanted = call.params
    after = wanted.last_event_id if wanted.last_event_id is not None else wanted.after
    start = await call.parts.feed.last_seq() if after is None else after

    async def produce(send: sse.Send) -> None:
        async for event in call.parts.feed.follow(
            start, app_id=wanted.app_id, deployment_id=wanted.deployment_id
        ):
            await send(str(event.seq), msgspec.json.encode(shapes.event(event)))

    return await sse.stream(call.request, produce)


ROUTES: tuple[Route, ...] = (
    route(
        "GET",
        "/api/v1/events",
        events,
        params=params.EventList,
        answers={HTTPStatus.OK: (answers.Events, Content(sse.MEDIA_TYPE))},
    ),
)
