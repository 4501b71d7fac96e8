"""Take bodies: JSON whole and bounded, uploads as a stream."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import TypeVar

from aiohttp import ClientError, HttpVersion11, hdrs, web

from paas.api.kit.validation import decode_json
from paas.core.errors import BadRequest, TooLarge, UnsupportedMedia

S = TypeVar("S")

JSON_LIMIT_BYTES = 1024 * 1024
SILENCE_SECS = 60.0  # a body of which nothing more comes is given up


async def read_json(request: web.Request, kind: type[S]) -> S:
    """Read a JSON body. Raises UnsupportedMedia, TooLarge, BadRequest or Invalid."""
    _check_type(request, "application/json")
    return decode_json(await read_whole(request, JSON_LIMIT_BYTES), kind)


async def read_whole(request: web.Request, limit_bytes: int) -> bytes:
    """Read a body as it comes, up to a limit. Raises TooLarge, and what `chunks` does."""
    if (request.content_length or 0) > limit_bytes:
        raise _too_large(limit_bytes)
    body = bytearray()
    async for chunk in chunks(request):
        body += chunk
        if len(body) > limit_bytes:
            raise _too_large(limit_bytes)
    return bytes(body)


async def read_text(request: web.Request, limit_bytes: int) -> str:
    """Read a body of plain text, of which none is empty. Raises UnsupportedMedia, TooLarge or BadRequest."""
    if not request.body_exists:
        return ""
    _check_type(request, "text/plain")
    try:
        return (await read_whole(request, limit_bytes)).decode()
    except UnicodeDecodeError:
        raise BadRequest("cannot read the body: it is not UTF-8") from None


async def chunks(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the raw body as it comes. Raises BadRequest if it is cut, UnsupportedMedia if it is packed."""
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise UnsupportedMedia(
            "cannot read the body: it has a Content-Encoding", hint="send the bytes as they are"
        )
    await _say_continue(request)
    while True:
        try:
            async with asyncio.timeout(SILENCE_SECS):
                chunk = await request.content.readany()
        except TimeoutError as error:
            raise BadRequest(
                f"cannot read the body: nothing came for {SILENCE_SECS:.0f} s", code="BODY_INCOMPLETE"
            ) from error
        except (ConnectionError, ClientError, web.RequestPayloadError, asyncio.IncompleteReadError) as error:
            raise BadRequest("cannot read the body: it was cut off", code="BODY_INCOMPLETE") from error
        if not chunk:
            return
        yield chunk


async def refuse_other_expectations(request: web.Request) -> web.StreamResponse | None:
    """Stand in for aiohttp's own answer to Expect: `100 Continue` is said when a body is read.

    So a client that asks first learns of a refusal before it sends a gigabyte.
    """
    if request.headers[hdrs.EXPECT].lower() == "100-continue":
        return None
    return web.Response(status=HTTPStatus.EXPECTATION_FAILED)


def _check_type(request: web.Request, media_type: str) -> None:
    if request.content_type != media_type:
        given = request.headers.get(hdrs.CONTENT_TYPE)
        raise UnsupportedMedia(
            f"cannot read the body: its type is {given}" if given else "cannot read the body: it has no type",
            hint=f"send the header Content-Type: {media_type}",
        )


async def _say_continue(request: web.Request) -> None:
    if request.version >= HttpVersion11 and hdrs.EXPECT in request.headers:
        transport = request.transport
        if transport is not None:
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(f"cannot read the body: it has more than {limit_bytes} bytes")
