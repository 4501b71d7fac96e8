"""/api/v1/builds"""

from http import HTTPStatus

import msgspec
from aiohttp import hdrs, web

from paas.api.kit import events as sse
from paas.api.kit.bodies import chunks, read_json
from paas.api.kit.lists import Page
from paas.api.kit.parts import ApiParts
from paas.api.kit.routes import Call, Content, Reply, Route, route
from paas.api.native import build_requests, params
from paas.api.native.build_fields import Build as BuildAnswer
from paas.api.native.build_fields import BuildList, BuildLogEntry, NewBuild, NewGitBuild
from paas.core.builds import Build
from paas.core.errors import Invalid, NotFound, UnsupportedMedia
from paas.core.ids import BuildId
from paas.core.states import UNFINISHED_BUILD, BuildState
from paas.store import builds

JSON = "application/json"
SOURCES = Content(
    "application/gzip",
    ("application/x-gzip", "application/zip", "application/x-tar", "application/octet-stream"),
    record=NewGitBuild,
)


async def create_build(call: Call[NewBuild, None]) -> Reply:
    """Build a source: the body is a tar, tar.gz or zip of it, or JSON that names a repository."""
    kind = call.request.content_type
    if kind == JSON:
        request = await build_requests.of_repository(call.parts, await _repository(call.request))
    elif kind in (SOURCES.media_type, *SOURCES.others):
        request = await build_requests.of_archive(
            call.parts, call.params, chunks(call.request), call.request.content_length
        )
    else:
        raise UnsupportedMedia(
            f"cannot build: the body is {call.request.headers.get(hdrs.CONTENT_TYPE, 'of no type')}",
            hint=f"send a tar.gz as {SOURCES.media_type}, or {JSON} that names a repository",
        )
    build = await call.parts.commands.builds.create(request)
    return Reply(body=build_requests.answer(build), status=HTTPStatus.ACCEPTED)


async def list_builds(call: Call[BuildList, None]) -> Reply:
    """List builds of all apps or of one, in all states or in one, newest first."""
    wanted = call.params
    found, total = await builds.page(
        call.parts.reader,
        app_id=wanted.app_id,
        state=None if wanted.state is None else BuildState(wanted.state),
        limit=wanted.page_size,
        offset=wanted.offset,
    )
    data = [build_requests.answer(build) for build in found]
    return Reply(body=Page(data=data, total=total, page=wanted.page, page_size=wanted.page_size))


async def get_build(call: Call[params.BuildPath, None]) -> Reply:
    """Read a build: how far it is, and what came of it."""
    return Reply(body=build_requests.answer(await _existing(call.parts, call.params.build_id)))


async def cancel_build(call: Call[params.BuildPath, None]) -> Reply:
    """End a build that waits or runs; nothing of it goes on."""
    return Reply(body=build_requests.answer(await call.parts.commands.builds.cancel(call.params.build_id)))


async def build_logs(call: Call[params.BuildLogs, None]) -> Reply:
    """Read what a build said, oldest first."""
    wanted = call.params
    build = await _existing(call.parts, wanted.build_id)
    if wanted.after is None:
        lines = await call.parts.build_logs.read(build.id, tail=wanted.tail)
    else:
        lines = (await call.parts.build_logs.read(build.id, after=wanted.after))[: wanted.tail]
    return Reply(body=[build_requests.log_entry(line) for line in lines])


async def stream_build_logs(call: Call[params.BuildLogStream, None]) -> web.StreamResponse:
    """Follow what a build says until it has ended; the id of each frame resumes after it."""
    wanted = call.params
    build = await _existing(call.parts, wanted.build_id)
    after = wanted.last_event_id if wanted.header_last_event_id is None else wanted.header_last_event_id

    async def produce(send: sse.Send) -> None:
        position = after
        if position is None:
            position = await _send_tail(call.parts, build.id, wanted.tail, send)
        await _send_rest(call.parts, build.id, position, send)

    return await sse.stream(call.request, produce)


async def _send_tail(parts: ApiParts, build_id: BuildId, tail: int, send: sse.Send) -> int:
    lines = await parts.build_logs.read(build_id, tail=max(1, tail))
    for line in lines[len(lines) - tail :] if tail else ():
        await send(str(line.offset), msgspec.json.encode(build_requests.log_entry(line)))
    return lines[-1].offset if lines else 0


async def _send_rest(parts: ApiParts, build_id: BuildId, position: int, send: sse.Send) -> None:
    while True:
        announced = parts.build_logs.announcement()
        build = await builds.get(parts.reader, build_id)  # before its lines: the last come before its end
        lines = await parts.build_logs.read(build_id, after=position)
        for line in lines:
            await send(str(line.offset), msgspec.json.encode(build_requests.log_entry(line)))
            position = line.offset
        if lines:
            continue
        if build is None or build.state not in UNFINISHED_BUILD:
            return
        await announced.wait()


async def _repository(request: web.Request) -> NewGitBuild:
    for name in request.query:
        raise Invalid(
            f"cannot accept {name}: the body is JSON, which says everything",
            field=name,
            hint=f"give {name} in the body",
        )
    return await read_json(request, NewGitBuild)


async def _existing(parts: ApiParts, build_id: BuildId) -> Build:
    build = await builds.get(parts.reader, build_id)
    if build is None:
        raise NotFound(f"no build has the id {build_id}", code="BUILD_NOT_FOUND")
    return build


_ONE = {HTTPStatus.OK: BuildAnswer}

ROUTES: tuple[Route, ...] = (
    route(
        "POST",
        "/api/v1/builds",
        create_build,
        params=NewBuild,
        body=SOURCES,
        answers={HTTPStatus.ACCEPTED: BuildAnswer},
        errors=(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
    route(
        "GET",
        "/api/v1/builds",
        list_builds,
        params=BuildList,
        answers={HTTPStatus.OK: Page[BuildAnswer]},
    ),
    route("GET", "/api/v1/builds/{build_id}", get_build, params=params.BuildPath, answers=_ONE),
    route(
        "POST",
        "/api/v1/builds/{build_id}/cancel",
        cancel_build,
        params=params.BuildPath,
        answers=_ONE,
        errors=(HTTPStatus.CONFLICT,),
    ),
    route(
        "GET",
        "/api/v1/builds/{build_id}/logs",
        build_logs,
        params=params.BuildLogs,
        answers={HTTPStatus.OK: list[BuildLogEntry]},
    ),
    route(
        "GET",
        "/api/v1/builds/{build_id}/logs/stream",
        stream_build_logs,
        params=params.BuildLogStream,
        answers={HTTPStatus.OK: Content(sse.MEDIA_TYPE)},
    ),
)
