"""/docs: a page that shows this API and lets one try it. Nothing on it comes from elsewhere."""

import asyncio
from http import HTTPStatus
from importlib import resources

import msgspec
from aiohttp import hdrs, web

from paas.api.kit.routes import Call, Content, NoParams, Route, route
from paas.core.errors import NotFound

CSS, JAVASCRIPT = "text/css", "text/javascript"
FILES = {
    "page.css": CSS,
    **dict.fromkeys(("answers.js", "elements.js", "page.js", "schemas.js", "trying.js"), JAVASCRIPT),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class DocsFile(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    file: str


async def docs(_: Call[NoParams, None]) -> web.StreamResponse:
    """Show this API to people, who may try it there."""
    return await _file("index.html", "text/html")


async def docs_file(call: Call[DocsFile, None]) -> web.StreamResponse:
    """Read a part of the page at /docs."""
    name = call.params.file
    if name not in FILES:
        raise NotFound(f"no part of the page at /docs is called {name}", code="FILE_NOT_FOUND")
    return await _file(name, FILES[name])


async def _file(name: str, media_type: str) -> web.Response:
    body = await asyncio.to_thread(resources.files("paas.api").joinpath("docs", name).read_bytes)
    headers = {
        hdrs.CACHE_CONTROL: "no-cache",
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(body=body, content_type=media_type, charset="utf-8", headers=headers)


ROUTES: tuple[Route, ...] = (
    route("GET", "/docs", docs, params=NoParams, answers={HTTPStatus.OK: Content("text/html")}),
    route(
        "GET",
        "/docs/{file}",
        docs_file,
        params=DocsFile,
        answers={HTTPStatus.OK: Content(CSS, others=(JAVASCRIPT,))},
    ),
)
