"""A route is declared once: aiohttp's table, validation and the OpenAPI document come from it."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Generic, TypeVar, assert_never

import msgspec
from aiohttp import web

from paas.api.kit.bodies import read_json, refuse_other_expectations
from paas.api.kit.parts import PARTS, ApiParts
from paas.api.kit.validation import convert
from paas.core.errors import BadRequest, Invalid
from paas.core.records import dataclass
from paas.specs.refusals import known_fields, refuse_unknown

P = TypeVar("P", bound=msgspec.Struct)
B = TypeVar("B")

UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

_IN_PATH = re.compile(r"{([a-z0-9_]+)(:uuid|:name)?}")
_PATTERNS = {":uuid": UUID, ":name": rf"(?!{UUID}/)[^{{}}/]+"}  # as aiohttp writes them


class NoParams(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing beside the path itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[P, B]):
    """A valid request. `body` is None where none is declared."""

    parts: ApiParts
    request: web.Request
    params: P
    body: B


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A record, or a list of them, as JSON; nothing for 204."""

    body: object = None
    status: HTTPStatus = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that are no JSON, in a request or an answer."""

    media_type: str
    others: tuple[str, ...] = ()  # that may stand in its place
    record: type[object] | None = None  # whose JSON may, too
    may_be_empty: bool = False  # in a request: no bytes are a body too


AnyJson = Annotated[object, msgspec.Meta(extra_json_schema={"description": "any JSON value"})]
Shape = type[object] | Content | None  # what a body holds; None: there is none
Answerer = Callable[[Call[P, B]], Awaitable[Reply | web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path. Parameters named in the path come from it, those with a capital
    from headers, all others from the query.

    `{app_id:uuid}` in a template matches ids only, where a name could stand in the same place, and
    `{namespace:name}` all but ids.
    """

    method: str
    template: str
    name: str
    group: str  # of those that are shown together: the module that answers
    summary: str
    params: type[msgspec.Struct]
    param_names: Sequence[str]
    body: Shape
    answers: Mapping[HTTPStatus, Sequence[Shape]]
    errors: Sequence[HTTPStatus]
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]

    @property
    def path(self) -> str:
        """The template as OpenAPI writes it."""
        return _IN_PATH.sub(r"{\1}", self.template)

    @property
    def path_names(self) -> frozenset[str]:
        return frozenset(match[1] for match in _IN_PATH.finditer(self.template))

    def place_of(self, parameter: str) -> str:
        if parameter in self.path_names:
            return "path"
        return "header" if parameter[:1].isupper() else "query"


def route(
    method: str,
    template: str,
    act: Answerer[P, B],
    *,
    params: type[P],
    body: type[B] | Content | None = None,
    answers: Mapping[HTTPStatus, Shape | Sequence[Shape]],
    errors: Sequence[HTTPStatus] = (),
) -> Route:
    """Declare a route. Its summary is the first line of what `act` says of itself."""

    wanted: Shape = body if isinstance(body, type | Content) else None

    async def handle(request: web.Request) -> web.StreamResponse:
        values = convert(_values(declared, request), params)
        taken = await read_json(request, wanted) if isinstance(wanted, type) else None
        call = Call(parts=request.app[PARTS], request=request, params=values, body=taken)
        return _response(await act(call))  # type: ignore[arg-type]  # taken is a B; None where B is None

    declared = Route(
        method=method,
        template=template,
        name=getattr(act, "__name__", template),
        group=act.__module__.rpartition(".")[2].replace("_", " "),
        summary=(act.__doc__ or "").strip().partition("\n")[0].rstrip("."),
        params=params,
        param_names=known_fields(params),
        body=wanted,
        answers={
            status: shape if isinstance(shape, list | tuple) else (shape,)
            for status, shape in answers.items()
        },
        errors=errors,
        handler=handle,
    )
    return declared


def register(router: web.UrlDispatcher, routes: Sequence[Route]) -> None:
    """Add all routes, literal segments first. Raises ValueError for one declared twice."""
    seen: set[tuple[str, str]] = set()
    for each in sorted(routes, key=lambda one: [part.startswith("{") for part in one.path.split("/")]):
        key = (each.method, _IN_PATH.sub("{}", each.path))
        if key in seen:
            raise ValueError(f"two routes for {each.method} {each.path}")
        seen.add(key)
        methods = (each.method, "HEAD") if each.method == "GET" else (each.method,)
        for method in methods:
            path = _IN_PATH.sub(_for_aiohttp, each.template)
            router.add_route(method, path, each.handler, expect_handler=refuse_other_expectations)


def _for_aiohttp(match: re.Match[str]) -> str:
    pattern = _PATTERNS.get(match[2] or "")
    return match[0] if pattern is None else f"{{{match[1]}:{pattern}}}"


def _values(declared: Route, request: web.Request) -> dict[str, object]:
    """Gather the parameters from where each belongs. Raises Invalid for unknown and doubled ones."""
    in_query = [name for name in declared.param_names if declared.place_of(name) == "query"]
    values: dict[str, object] = dict(request.match_info)
    for name, value in request.query.items():
        if name not in in_query:
            refuse_unknown(name, in_query)
        if name in values:
            raise Invalid(f"cannot accept {name}: it is given twice", field=name)
        values[name] = value
    for name in declared.param_names:
        if declared.place_of(name) == "header" and name in request.headers:
            values[name] = request.headers[name]
    for name, text in values.items():
        if not _is_sound(str(text)):
            raise BadRequest(f"cannot read {name}: it is not UTF-8", field=name)
    return {name: str(text).lower() if name.endswith("_id") else text for name, text in values.items()}


def _is_sound(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _response(reply: Reply | web.StreamResponse) -> web.StreamResponse:
    match reply:
        case web.StreamResponse():
            return reply
        case Reply(body=None):
            return web.Response(status=reply.status)
        case Reply():
            raw = msgspec.json.encode(reply.body)
            return web.Response(status=reply.status, body=raw, content_type="application/json")
        case _:
            assert_never(reply)
