"""Whatever goes wrong is answered in one shape, and nothing a client sends is our failure."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from paas.api.kit.bodies import JSON_LIMIT_BYTES
from paas.api.native.requests import CreateApp, CreateDeployment
from paas.core.records import replace
from tests.api.conftest import Api, serve

JSON_TYPE = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", HTTPStatus.BAD_REQUEST, "MALFORMED_JSON"),
        (b"{", HTTPStatus.BAD_REQUEST, "MALFORMED_JSON"),
        (b'{"name": "a"} x', HTTPStatus.BAD_REQUEST, "MALFORMED_JSON"),
        (b'{"name": "\xff"}', HTTPStatus.BAD_REQUEST, "MALFORMED_JSON"),
        (b'{"name": NaN}', HTTPStatus.BAD_REQUEST, "MALFORMED_JSON"),
        (b"[" * 100_000, HTTPStatus.UNPROCESSABLE_ENTITY, "INVALID"),
        (b'{"labels": ' + b'{"a": ' * 100_000, HTTPStatus.UNPROCESSABLE_ENTITY, "INVALID"),
        (b"null", HTTPStatus.UNPROCESSABLE_ENTITY, "INVALID"),
        (b"[]", HTTPStatus.UNPROCESSABLE_ENTITY, "INVALID"),
        (b'{"name": "' + b"x" * JSON_LIMIT_BYTES + b'"}', HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TOO_LARGE"),
    ],
)
async def test_bad_body_is_refused(api: Api, body: bytes, status: HTTPStatus, code: str) -> None:
    answered, error = await api.ask("POST", "/api/v1/apps", data=io.BytesIO(body), headers=JSON_TYPE)

    assert (answered, error["code"]) == (status, code)


async def test_large_body_of_unknown_length_is_refused(api: Api) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    status, error = await api.ask("POST", "/api/v1/apps", data=pieces(), headers=JSON_TYPE)

    assert (status, error["code"]) == (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TOO_LARGE")


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain", "application/octet-stream"]
)
async def test_body_of_another_type_is_refused_with_the_header_to_send(api: Api, content_type: str) -> None:
    status, error = await api.ask(
        "POST", "/api/v1/apps", data=b'{"name": "a"}', headers={"Content-Type": content_type}
    )

    assert status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert error["hint"] == "send the header Content-Type: application/json"


async def test_json_with_a_charset_is_taken(api: Api) -> None:
    status, _ = await api.ask(
        "POST",
        "/api/v1/apps",
        data=b'{"name": "a"}',
        headers={"Content-Type": "application/json; charset=utf-8"},
    )

    assert status == HTTPStatus.CREATED


async def test_unknown_paths_and_methods_are_refused_in_our_shape(api: Api) -> None:
    missing, no_path = await api.ask("GET", "/api/v2/apps")
    async with api.client.delete(api.url + "/api/v1/apps") as response:
        no_method = await response.json()

    assert (missing, no_path["code"]) == (HTTPStatus.NOT_FOUND, "PATH_NOT_FOUND")
    assert (response.status, no_method["code"]) == (HTTPStatus.METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED")
    assert response.headers["Allow"] == "GET, HEAD, POST"


async def test_head_is_answered_without_a_body(api: Api) -> None:
    async with api.client.head(api.url + "/api/v1/apps") as response:
        body = await response.read()
    async with api.client.head(api.url + "/api/v1/events", headers={"Accept": "text/event-stream"}) as stream:
        nothing = await stream.read()

    assert (response.status, body) == (HTTPStatus.OK, b"")
    assert (stream.status, nothing) == (HTTPStatus.OK, b"")


@pytest.mark.parametrize(
    "target", ["/api/v1/apps/%ff/%fe", "/api/v1/apps?namespace=%ff", "/%ff%00", "/%ed%a0%80"]
)
async def test_escapes_of_no_text_are_harmless(api: Api, target: str) -> None:
    async with api.client.get(URL(api.url + target, encoded=True)) as response:
        body = await response.json()

    assert response.status < HTTPStatus.INTERNAL_SERVER_ERROR
    assert body


async def test_failure_of_ours_tells_no_details(tmp_path: Path) -> None:
    def fail() -> list[str]:
        raise RuntimeError("secret")

    async with serve(tmp_path, lambda parts: replace(parts, problems=fail)) as api:
        status, error = await api.ask("GET", "/health")

    assert (status, error["code"]) == (HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL")
    assert "secret" not in json.dumps(error)


async def test_agent_says_how_well_apps_are_kept_apart(api: Api) -> None:
    _, body = await api.ask("GET", "/api/v1/version")

    assert body == {
        "version": "0.0.1",
        "api": "v1",
        "node_id": "node",
        "domain": "localhost",
        "proxy_url": "http://localhost:47000",
        "limits": {"memory": "rlimit", "cpu": "none", "containment": "environment"},
        "isolation": {"user": "nobody", "shares_agent_user": False},
        "warnings": [],
    }


OTHER_WORDS = (
    *("spec", "port", "health_path", "cpu", "memory", "A", "PORT"),
    *("tish", "docker", "100m", "1Gi", "/", "http", "host_path"),
)
WORDS = st.sampled_from([*CreateApp.__struct_fields__, *CreateDeployment.__struct_fields__, *OTHER_WORDS])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 70000)
    | st.floats()
    | st.text(max_size=20)
    | WORDS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=25,
)
BODIES = VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200)
TARGETS = (
    ("POST", "/api/v1/apps"),
    ("PUT", "/api/v1/apps/{app}"),
    ("POST", "/api/v1/artifacts"),
    ("POST", "/api/v1/apps/{app}/deployments"),
    ("PATCH", "/api/v1/deployments/{deployment}"),
)
QUERIES = st.dictionaries(
    st.sampled_from(
        ["page", "page_size", "sort_by", "page_token", "tail", "since", "after", "limit", "app_id"]
    )
    | st.text(max_size=4),
    st.integers().map(str) | st.text(max_size=12) | WORDS,
    max_size=3,
)
LISTS = (
    "/api/v1/apps",
    "/api/v1/apps/{app}/deployments",
    "/api/v1/deployments",
    "/api/v1/deployments/{deployment}/logs",
    "/api/v1/tasks",
    "/api/v1/events",
)


@settings(max_examples=15, deadline=None)
@given(requests=st.lists(st.tuples(st.sampled_from(TARGETS), BODIES), min_size=5, max_size=15))
def test_no_body_makes_us_fail(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[tuple[str, str], bytes]]
) -> None:
    async def play() -> list[int]:
        async with serve(tmp_path_factory.mktemp("fuzz")) as api:
            ids = await _ids(api)
            return [
                (await api.ask(method, path.format(**ids), data=body, headers=JSON_TYPE))[0]
                for (method, path), body in requests
            ]

    assert max(asyncio.run(play())) != HTTPStatus.INTERNAL_SERVER_ERROR


@settings(max_examples=12, deadline=None)
@given(requests=st.lists(st.tuples(st.sampled_from(LISTS), QUERIES), min_size=5, max_size=15))
def test_no_query_makes_us_fail(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[str, dict[str, str]]]
) -> None:
    async def play() -> list[int]:
        async with serve(tmp_path_factory.mktemp("fuzz")) as api:
            ids = await _ids(api)
            return [(await api.ask("GET", path.format(**ids), params=query))[0] for path, query in requests]

    assert max(asyncio.run(play())) < HTTPStatus.INTERNAL_SERVER_ERROR


async def _ids(api: Api) -> dict[str, str]:
    app = await api.app("target")
    deployment = await api.deployment(app["id"])
    return {"app": app["id"], "deployment": deployment["id"]}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", "HEAD_TOO_LARGE"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 9000 + b"\r\n\r\n", "HEAD_TOO_LARGE"),
        (b"nothing like it\r\n\r\n", "MALFORMED_HTTP"),
        (b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", "MALFORMED_HTTP"),
    ],
)
async def test_what_is_no_request_is_answered_in_the_same_shape(
    api: Api, sent: bytes, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = URL(api.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)

    writer.write(sent)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")  # the server closes
    writer.close()

    assert head.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
    assert b"Content-Type: application/json" in head
    assert json.loads(body)["code"] == code
    assert caplog.records == []


@pytest.mark.parametrize(
    "path",
    ["/api/v1/builds?app_id=AAA", "/api/v1/deployments?app_id=AAA", "/api/v1/events?deployment_id=AAA"],
)
async def test_filter_by_what_is_no_id_is_refused(api: Api, path: str) -> None:
    status, answer = await api.ask("GET", path)

    assert (status, answer["hint"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, "an id")
