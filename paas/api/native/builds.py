"""/api/v1/builds"""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from aiohttp import hdrs, web

from paas.api.kit import events as sse
from paas.api.kit.bodies import chunks
from paas.api.kit.lists import Page
from paas.api.kit.parts import ApiParts
from paas.api.kit.routes import Call, Content, Reply, Route, route
from paas.api.native import answers, params, shapes, views
from paas.core.builds import Build, BuildOptions
from paas.core.errors import Invalid, NotFound, UnsupportedMedia
from paas.core.ids import AppId, BuildId
from paas.core.sources import check_path
from paas.core.states import UNFINISHED_BUILD
from paas.engine.commands import ArchiveSource, BuildRequest
from paas.store import apps, builds

ARCHIVES = Content(
    "application/gzip",
    ("application/x-gzip", "application/zip", "application/x-tar", "application/octet-stream"),
)


async def create_build(call: Call[params.NewBuild, None]) -> Reply:
    """Build an image; the body is a tar, tar.gz or zip of the Dockerfile and what it copies."""
    if call.request.content_type not in (ARCHIVES.media_type, *ARCHIVES.others):
        raise UnsupportedMedia(
            f"cannot build: the body is {call.request.headers.get(hdrs.CONTENT_TYPE, 'of no type')}",
            hint=f"send the header Content-Type: {ARCHIVES.media_type}, and a tar.gz",
        )
    request = BuildRequest(
        app_id=await _app_id(call),
        options=_options(call.params),
        source=ArchiveSource(chunks=chunks(call.request), expected_bytes=call.request.content_length),
    )
    build = await call.parts.commands.builds.create(request)
    return Reply(body=shapes.build(build), status=HTTPStatus.ACCEPTED)


async def list_builds(call: Call[params.BuildList, None]) -> Reply:
    """List builds of all apps, or of one, newest first."""
    wanted = call.params
    found, total = await builds.page(
        call.parts.reader, app_id=wanted.app_id, limit=wanted.page_size, offset=wanted.offset
    )
    data = [shapes.build(build) for build in found]
    return Reply(body=Page(data=data, total=total, page=wanted.page, page_size=wanted.page_size))


async def get_build(call: Call[params.BuildPath, None]) -> Reply:
    """Read a build: how far it is, and what came of it."""
    return Reply(body=shapes.build(await _existing(call.parts, call.params.build_id)))


async def cancel_build(call: Call[params.BuildPath, None]) -> Reply:
    """End a build that waits or runs; nothing of it goes on."""
    return Reply(body=shapes.build(await call.parts.commands.builds.cancel(call.params.build_id)))


async def build_logs(call: Call[params.BuildLogs, None]) -> Reply:
    """Read what a build said, oldest first."""
    wanted = call.params
    build = await _existing(call.parts, wanted.build_id)
    if wanted.after is None:
        lines = await call.parts.build_logs.read(build.id, tail=wanted.tail)
    else:
        lines = (await call.parts.build_logs.read(build.id, after=wanted.after))[: wanted.tail]
    return Reply(body=[shapes.build_log_entry(line) for line in lines])


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
        await send(str(line.offset), msgspec.json.encode(shapes.build_log_entry(line)))
    return lines[-1].offset if lines else 0


async def _send_rest(parts: ApiParts, build_id: BuildId, position: int, send: sse.Send) -> None:
    while True:
        announced = parts.build_logs.announcement()
        build = await builds.get(parts.reader, build_id)  # before its lines: the last come before its end
        lines = await parts.build_logs.read(build_id, after=position)
        for line in lines:
            await send(str(line.offset), msgspec.json.encode(shapes.build_log_entry(line)))
            position = line.offset
        if lines:
            continue
        if build is None or build.state not in UNFINISHED_BUILD:
            return
        await announced.wait()


async def _app_id(call: Call[params.NewBuild, None]) -> AppId:
    wanted = call.params
    if (wanted.app_id is None) is (wanted.name is None):
        raise Invalid(
            "cannot build: it is not said for which app",
            field="app_id",
            hint="give either app_id, or name and namespace",
        )
    if wanted.app_id is not None:
        return (await views.existing_app(call.parts, wanted.app_id)).id
    app = await apps.by_name(call.parts.reader, wanted.namespace, wanted.name or "")
    if app is None:
        raise NotFound(f"no app is called {wanted.namespace}/{wanted.name}", code="APP_NOT_FOUND")
    return app.id


def _options(wanted: params.NewBuild) -> BuildOptions:
    return BuildOptions(
        dockerfile=_dockerfile(wanted.dockerfile),
        target=wanted.target,
        args=_args(wanted.build_args),
        no_cache=wanted.no_cache,
    )


def _dockerfile(text: str | None) -> str | None:
    if text is None:
        return None
    path = check_path(text, field="dockerfile")
    if not path:
        raise Invalid(f"cannot build {text}: it names no file", field="dockerfile")
    return path


def _args(text: str) -> Mapping[str, str]:
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.MsgspecError as error:
        raise Invalid(
            f"cannot read build_args: {error}",
            field="build_args",
            hint='write a JSON object of text, such as {"VERSION":"1"}',
        ) from error


async def _existing(parts: ApiParts, build_id: BuildId) -> Build:
    build = await builds.get(parts.reader, build_id)
    if build is None:
        raise NotFound(f"no build has the id {build_id}", code="BUILD_NOT_FOUND")
    return build


_ONE = {HTTPStatus.OK: answers.Build}

ROUTES: tuple[Route, ...] = (
    route(
        "POST",
        "/api/v1/builds",
        create_build,
        params=params.NewBuild,
        body=ARCHIVES,
        answers={HTTPStatus.ACCEPTED: answers.Build},
        errors=(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
    route(
        "GET",
        "/api/v1/builds",
        list_builds,
        params=params.BuildList,
        answers={HTTPStatus.OK: Page[answers.Build]},
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
        answers={HTTPStatus.OK: list[answers.BuildLogEntry]},
    ),
    route(
        "GET",
        "/api/v1/builds/{build_id}/logs/stream",
        stream_build_logs,
        params=params.BuildLogStream,
        answers={HTTPStatus.OK: Content(sse.MEDIA_TYPE)},
    ),
)
