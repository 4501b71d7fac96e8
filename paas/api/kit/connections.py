"""Connections that answer in our shape, too, what is no HTTP request at all."""

from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from paas.api.kit.errors import Error, answer


class JsonRunner(web.AppRunner):
    """Serves an application; a client that does not speak HTTP as we read it gets our errors.

    By itself aiohttp answers such a client in plain text, repeats to it what it sent, and logs a traceback.
    """

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            **made._kwargs,  # noqa: SLF001 - aiohttp has no other way to say what makes connections
        )


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status != HTTPStatus.BAD_REQUEST or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        response = answer(HTTPStatus.BAD_REQUEST, _of(exc))
        response.force_close()  # nobody knows where the next request would begin
        return response


def _of(error: BaseException | None) -> Error:
    if isinstance(error, LineTooLong):
        limit = error.args[1]
        cause = f"its first line or one of its headers has more than {limit} bytes"
        return Error(error=f"cannot read the request: {cause}", code="HEAD_TOO_LARGE")
    return Error(
        error="cannot read the request: it is not HTTP/1.1 as RFC 9112 has it", code="MALFORMED_HTTP"
    )
