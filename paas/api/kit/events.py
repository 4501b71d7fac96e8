"""Server-sent events: frames, heartbeats, and an end when the client leaves or the server closes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import hdrs, web

from paas.api.kit.parts import PARTS

logger = logging.getLogger(__name__)

MEDIA_TYPE = "text/event-stream"
HEARTBEAT = b":\n\n"  # a comment; also how a client that left is noticed

CLOSING = web.AppKey("closing", asyncio.Event)

Send = Callable[[str, bytes], Awaitable[None]]  # id and one line of data


class _Over(Exception):
    """The stream has come to its end."""


def is_wanted(request: web.Request) -> bool:
    return MEDIA_TYPE in request.headers.get(hdrs.ACCEPT, "")


async def stream(request: web.Request, produce: Callable[[Send], Awaitable[None]]) -> web.StreamResponse:
    """Send unnamed frames as `produce` gives them, until it returns or somebody leaves.

    `produce` waits while the client reads slowly: nothing is lost, and no more than aiohttp's
    write buffer is kept.
    """
    response = web.StreamResponse(status=HTTPStatus.OK, headers={hdrs.CACHE_CONTROL: "no-store"})
    response.content_type = MEDIA_TYPE
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    writing = _Writing(response, request.app[PARTS].heartbeat_secs)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(writing.beat())
            group.create_task(_end_with(request.app[CLOSING]))
            group.create_task(_all_of(produce(writing.send)))
    except* (_Over, ConnectionError):  # aiohttp has kinds of its own, and the plain one where it waited
        pass
    except* Exception as errors:
        logger.error("Stream failed", exc_info=errors, extra={"event": "api.stream_failed"})  # noqa: TRY400
    response.force_close()
    return response


async def _all_of(sending: Awaitable[None]) -> None:
    await sending
    raise _Over


async def _end_with(closing: asyncio.Event) -> None:
    await closing.wait()
    raise _Over


class _Writing:
    def __init__(self, response: web.StreamResponse, heartbeat_secs: float) -> None:
        self._response = response
        self._heartbeat_secs = heartbeat_secs
        self._is_silent = True

    async def send(self, identity: str, line: bytes) -> None:
        self._is_silent = False
        await self._response.write(b"id: %b\ndata: %b\n\n" % (identity.encode(), line))

    async def beat(self) -> None:
        """Write a comment at once, so that the head leaves, and whenever nothing else was written."""
        while True:
            if self._is_silent:
                await self._response.write(HEARTBEAT)
            self._is_silent = True
            await asyncio.sleep(self._heartbeat_secs)
