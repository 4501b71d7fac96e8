"""The OpenAPI 3.1 document, made from the routes that validate and answer."""

from collections.abc import Sequence
from http import HTTPStatus

import msgspec
from msgspec import inspect

from paas.api.kit import events
from paas.api.kit.errors import Error
from paas.api.kit.routes import Content, Route, Shape

Json = dict[str, object]

REFERENCE = "#/components/schemas/{name}"
ANY_CALLER = (
    HTTPStatus.FORBIDDEN,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,  # the database cannot be read or written
)
EVENT: Json = {
    "type": "object",
    "description": "each event of the stream, as server-sent events are read",
    "properties": {
        "id": {"type": "string", "description": "send it as Last-Event-ID to go on after it"},
        "data": {"type": "string", "description": "JSON, in one line"},
    },
}
BYTES: Json = {"type": "string", "format": "binary"}
BODY_ERRORS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


def document(routes: Sequence[Route], *, title: str, version: str) -> Json:
    """Describe every route, parameter, body and answer."""
    shapes = _Schemas(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, shapes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": shapes.components},
    }


class _Schemas:
    """One schema a record, by name, whoever uses it."""

    def __init__(self, routes: Sequence[Route]) -> None:
        kinds: list[type[object]] = [Error]
        for route in routes:
            shapes = [shape for each in (*route.answers.values(), (route.body,)) for shape in each]
            records = (shape.record if isinstance(shape, Content) else shape for shape in shapes)
            kinds += [record for record in records if record is not None]
        found, self.components = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
        self._of = {str(kind): schema for kind, schema in zip(kinds, found, strict=True)}

    def of(self, kind: type[object]) -> object:
        return self._of[str(kind)]


def _operation(route: Route, schemas: _Schemas) -> Json:
    operation: Json = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.group],
        "parameters": _parameters(route),
        "responses": _responses(route, schemas),
    }
    if route.body is not None:
        is_required = not (isinstance(route.body, Content) and route.body.may_be_empty)
        operation["requestBody"] = {"required": is_required, "content": _content((route.body,), schemas)}
    return operation


def _parameters(route: Route) -> list[Json]:
    found = []
    described = inspect.type_info(route.params)
    if not isinstance(described, inspect.StructType):
        raise TypeError(route.params)
    whole = msgspec.json.schema_components([route.params], ref_template=REFERENCE)[1]
    properties: dict[str, Json] = whole[route.params.__name__]["properties"]
    for field in described.fields:
        place = route.place_of(field.encode_name)
        schema = dict(properties[field.encode_name])
        parameter: Json = {
            "name": field.encode_name,
            "in": place,
            "required": place == "path" or field.required,
        }
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        found.append(parameter | {"schema": schema})
    return found


def _responses(route: Route, schemas: _Schemas) -> Json:
    responses: Json = {}
    for status, shapes in route.answers.items():
        response: Json = {"description": status.phrase}
        if shapes[0] is not None:
            response["content"] = _content(shapes, schemas)
        responses[str(status.value)] = response
    for status in error_statuses(route):
        responses.setdefault(
            str(status.value),
            {"description": status.phrase, "content": {"application/json": {"schema": schemas.of(Error)}}},
        )
    return dict(sorted(responses.items()))


def error_statuses(route: Route) -> set[HTTPStatus]:
    """Name every error a route may answer with."""
    statuses = {*ANY_CALLER, *route.errors, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST}
    if route.body is not None:
        statuses |= {*BODY_ERRORS}
    if route.path_names:
        statuses.add(HTTPStatus.NOT_FOUND)
    if ":uuid}" in route.template:
        statuses.add(HTTPStatus.METHOD_NOT_ALLOWED)  # of the path that takes a name in the id's place
    return statuses


def _content(shapes: Sequence[Shape], schemas: _Schemas) -> Json:
    content: Json = {}
    for shape in shapes:
        if isinstance(shape, Content):
            for media_type in (shape.media_type, *shape.others):
                content[media_type] = {"schema": EVENT if media_type == events.MEDIA_TYPE else BYTES}
            if shape.record is not None:
                content["application/json"] = {"schema": schemas.of(shape.record)}
        elif shape is not None:
            content["application/json"] = {"schema": schemas.of(shape)}
    return content
