"""Error class to status and body, for every path that can fail."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import msgspec
from aiohttp import hdrs, web
from msgspec import structs

from paas.core.errors import (
    BadArchive,
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    NotSupported,
    PaasError,
    Stale,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnsupportedMedia,
)

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUS: Mapping[type[PaasError], HTTPStatus] = {
    BadRequest: HTTPStatus.BAD_REQUEST,
    Unauthorized: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Stale: HTTPStatus.CONFLICT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    BadArchive: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotSupported: HTTPStatus.NOT_IMPLEMENTED,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Error(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What every failed request answers: a sentence, a code for machines, and help."""

    error: str
    code: str
    field: str | None = None
    hint: str | None = None


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into an answer in our shape."""
    try:
        return await handler(request)
    except PaasError as error:
        response = _of_paas(request, error)
    except web.HTTPException as error:
        response = _of_aiohttp(request, error)
    except Exception as error:  # noqa: BLE001 - a request may fail, the agent may not
        response = _internal(request, error)
    if request.body_exists and not request.content.at_eof():
        response.force_close()  # the rest of the body must not be taken for the next request
    return response


def _of_paas(request: web.Request, error: PaasError) -> web.StreamResponse:
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)
    if status is None:
        return _internal(request, error)
    return answer(status, Error(error=error.message, code=error.code, field=error.field, hint=error.hint))


def answer(status: HTTPStatus, body: Error, headers: Mapping[str, str] | None = None) -> web.StreamResponse:
    """Write an error. What the client sent in no encoding at all is shown as question marks."""
    sound = {
        name: text and text.encode(errors="replace").decode() for name, text in structs.asdict(body).items()
    }
    raw = msgspec.json.encode(Error(**sound))
    return web.Response(status=status, body=raw, content_type="application/json", headers=headers)


def _of_aiohttp(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if error.status < HTTPStatus.BAD_REQUEST:
        return error
    if isinstance(error, web.HTTPNotFound):
        body = Error(
            error=f"cannot find {request.method} {request.path}: there is no such path",
            code="PATH_NOT_FOUND",
            hint="/openapi.json lists every path",
        )
        return answer(HTTPStatus.NOT_FOUND, body)
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        body = Error(
            error=f"cannot {request.method} {request.path}: the method is not one of {allowed}",
            code="METHOD_NOT_ALLOWED",
        )
        return answer(HTTPStatus.METHOD_NOT_ALLOWED, body, {hdrs.ALLOW: allowed})
    status = HTTPStatus(error.status)
    body = Error(error=f"cannot answer: {status.phrase.lower()}", code=status.name)
    return answer(status, body)


def _internal(request: web.Request, error: Exception) -> web.StreamResponse:
    logger.error(
        "Request failed",
        exc_info=error,
        extra={"event": "api.failed", "method": request.method, "path": request.path},
    )
    body = Error(error="cannot answer: an internal error; the agent's log says more", code="INTERNAL")
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, body)
