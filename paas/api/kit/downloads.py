"""Send a file that never changes: ranges and conditions, named by its SHA-256."""

from http import HTTPStatus
from pathlib import Path

from aiohttp import hdrs, web
from aiohttp.helpers import content_disposition_header

_ETAG = web.RequestKey("etag", str)


def download(
    request: web.Request, path: Path, *, name: str, content_type: str, sha256: str
) -> web.StreamResponse:
    """Answer with the file as an attachment. No page may be made of what somebody uploaded."""
    request[_ETAG] = sha256
    known = request.if_none_match or ()
    if any(etag.value in {sha256, "*"} for etag in known):
        return web.Response(status=HTTPStatus.NOT_MODIFIED)
    headers = {
        hdrs.CONTENT_TYPE: content_type,
        hdrs.CONTENT_DISPOSITION: content_disposition_header("attachment", filename=name),
        "X-Content-Type-Options": "nosniff",
    }
    return web.FileResponse(path, headers=headers)


async def put_etag(request: web.Request, response: web.StreamResponse) -> None:
    """Replace the ETag that aiohttp makes of time and size."""
    etag = request.get(_ETAG)
    if etag is not None and response.status < HTTPStatus.BAD_REQUEST:
        response.headers[hdrs.ETAG] = f'"{etag}"'
