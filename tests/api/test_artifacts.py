"""Artifacts over HTTP: bytes in, the same bytes out."""

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.api.conftest import UPLOAD_LIMIT, Api, Json, serve, until
from tests.api.streams import LIMIT_SECS


async def promised(api: Api, **fields: object) -> Json:
    status, artifact = await api.ask("POST", "/api/v1/artifacts", {"name": "hello", **fields})
    assert status == HTTPStatus.CREATED
    return artifact


async def exchange(api: Api, request: bytes, *, then_close: bool = False) -> bytes:
    """Send raw bytes and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(request)
    await writer.drain()
    if then_close:
        writer.write_eof()
    async with asyncio.timeout(LIMIT_SECS):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_upload_and_download_give_the_same_bytes(api: Api) -> None:
    content = os.urandom(1_500_000)
    artifact = await promised(api, name="my app.tar.gz", content_type="application/gzip")
    path = f"/api/v1/artifacts/{artifact['id']}"

    status, filled = await api.ask("POST", f"{path}/upload", data=io.BytesIO(content))
    async with api.client.get(api.url + f"{path}/download") as response:
        downloaded = await response.read()

    assert (artifact["size"], artifact["sha256"], artifact["uploaded_at"]) == (None, None, None)
    assert status == HTTPStatus.OK
    assert (filled["size"], filled["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert downloaded == content
    assert response.headers["ETag"] == f'"{filled["sha256"]}"'
    assert response.headers["Content-Type"] == "application/gzip"
    assert "my app.tar.gz" in response.headers["Content-Disposition"].replace("%20", " ")
    assert await api.ask("GET", path) == (HTTPStatus.OK, filled)


async def test_download_of_a_part_and_of_what_is_known(api: Api) -> None:
    artifact = await api.artifact(b"0123456789")
    url = f"{api.url}/api/v1/artifacts/{artifact['id']}/download"

    async with api.client.get(url, headers={"Range": "bytes=2-4"}) as part:
        middle = await part.read()
    async with api.client.get(url, headers={"If-None-Match": f'"{artifact["sha256"]}"'}) as known:
        nothing = await known.read()
    async with api.client.get(url, headers={"Range": "bytes=20-"}) as beyond:
        await beyond.read()

    assert (part.status, middle) == (HTTPStatus.PARTIAL_CONTENT, b"234")
    assert (known.status, nothing) == (HTTPStatus.NOT_MODIFIED, b"")
    assert beyond.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE


@pytest.mark.parametrize(
    "content_type", ["application/octet-stream", "application/x-www-form-urlencoded", ""]
)
async def test_upload_takes_any_content_type(api: Api, content_type: str) -> None:
    artifact = await promised(api)

    status, _ = await api.ask(
        "POST",
        f"/api/v1/artifacts/{artifact['id']}/upload",
        data=b"abc",
        headers={"Content-Type": content_type},
    )

    assert status == HTTPStatus.OK


async def test_chunked_upload_is_kept(api: Api) -> None:
    artifact = await promised(api)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 1000

    status, filled = await api.ask("POST", f"/api/v1/artifacts/{artifact['id']}/upload", data=pieces())

    assert (status, filled["size"]) == (HTTPStatus.OK, 10_000)


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 1000\r\n\r\n" + b"x" * 500,
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhe",
    ],
    ids=["length", "chunked"],
)
async def test_upload_cut_half_way_leaves_nothing(api: Api, framing: bytes) -> None:
    artifact = await promised(api)
    head = f"POST /api/v1/artifacts/{artifact['id']}/upload HTTP/1.1\r\nHost: localhost\r\n".encode()

    await exchange(api, head + framing, then_close=True)

    await until(lambda: not [*api.files.glob("*"), *api.files.glob(".upload-*")])
    _, still = await api.ask("GET", f"/api/v1/artifacts/{artifact['id']}")
    assert still == artifact
    status, _ = await api.ask("POST", f"/api/v1/artifacts/{artifact['id']}/upload", data=b"whole")
    assert status == HTTPStatus.OK


async def test_too_large_an_upload_is_refused(api: Api) -> None:
    artifact = await promised(api)
    path = f"/api/v1/artifacts/{artifact['id']}/upload"

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(UPLOAD_LIMIT // 65536 + 8):
            yield b"x" * 65536

    announced, error = await api.ask("POST", path, data=io.BytesIO(b"x" * (UPLOAD_LIMIT + 1)))
    unannounced, _ = await api.ask("POST", path, data=endless())

    assert (announced, error["code"]) == (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TOO_LARGE")
    assert unannounced == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert [*api.files.glob("*")] == []


async def test_client_that_asks_first_hears_continue_or_the_refusal(api: Api) -> None:
    artifact = await promised(api)
    head = "POST /api/v1/artifacts/{}/upload HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    end = "Content-Length: 5\r\nConnection: close\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    async with asyncio.timeout(LIMIT_SECS):
        writer.write((head.format(artifact["id"]) + end).encode())
        invited = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hello")
        answered = await reader.read()
        writer.close()
        await writer.wait_closed()

    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    async with asyncio.timeout(LIMIT_SECS):
        writer.write((head.format("00000000-0000-4000-8000-000000000000") + end).encode())
        refused = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    assert invited == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answered.startswith(b"HTTP/1.1 200 OK")
    assert refused.startswith(b"HTTP/1.1 404 Not Found")


async def test_close_waits_for_no_stalled_upload(tmp_path: Path) -> None:
    async with serve(tmp_path) as api:
        artifact = await promised(api)
        _, writer = await asyncio.open_connection("127.0.0.1", api.port)
        head = f"POST /api/v1/artifacts/{artifact['id']}/upload HTTP/1.1\r\nHost: localhost\r\n"
        writer.write(f"{head}Content-Length: 1000\r\n\r\nhello".encode())
        await until(lambda: bool([*api.files.glob(".upload-*")]))

        async with asyncio.timeout(LIMIT_SECS):
            await api.server.close()

        writer.close()
        await writer.wait_closed()
        await until(lambda: not [*api.files.glob(".upload-*")])


async def test_packed_upload_is_refused(api: Api) -> None:
    artifact = await promised(api)

    status, _ = await api.ask(
        "POST",
        f"/api/v1/artifacts/{artifact['id']}/upload",
        data=b"x",
        headers={"Content-Encoding": "gzip"},
    )

    assert status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE


async def test_artifact_never_changes_its_bytes(api: Api) -> None:
    artifact = await api.artifact(b"one")
    path = f"/api/v1/artifacts/{artifact['id']}/upload"

    same, _ = await api.ask("POST", path, data=b"one")
    other, error = await api.ask("POST", path, data=b"two")

    assert (same, other, error["code"]) == (HTTPStatus.OK, HTTPStatus.CONFLICT, "ARTIFACT_IMMUTABLE")


async def test_artifact_in_use_is_not_deleted(api: Api) -> None:
    app, artifact = await api.app(), await api.artifact()
    deployment = await api.deployment(app["id"], artifact_id=artifact["id"])
    path = f"/api/v1/artifacts/{artifact['id']}"

    used, error = await api.ask("DELETE", path)
    await api.ask("POST", f"/api/v1/deployments/{deployment['id']}/cancel")
    unused, _ = await api.ask("DELETE", path)
    gone, _ = await api.ask("GET", path)

    assert (used, error["code"]) == (HTTPStatus.CONFLICT, "ARTIFACT_IN_USE")
    assert (unused, gone) == (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND)


async def test_empty_artifact_cannot_be_downloaded(api: Api) -> None:
    artifact = await promised(api)

    status, error = await api.ask("GET", f"/api/v1/artifacts/{artifact['id']}/download")

    assert (status, error["code"]) == (HTTPStatus.CONFLICT, "ARTIFACT_EMPTY")


async def test_artifacts_are_listed_by_page(api: Api) -> None:
    ids = [(await promised(api))["id"] for _ in range(3)]

    _, window = await api.ask("GET", "/api/v1/artifacts?page=2&page_size=2")

    assert ([artifact["id"] for artifact in window["data"]], window["total"]) == ([ids[0]], 3)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "a\r\nX: y"}, "name"),
        ({"name": "a", "content_type": "nonsense"}, "content_type"),
        ({"name": "a", "content_type": "a/b\r\nX: y"}, "content_type"),
        ({"name": "a", "size": 3}, "size"),
    ],
)
async def test_bad_artifact_is_refused_by_field(api: Api, body: Json, field: str) -> None:
    status, error = await api.ask("POST", "/api/v1/artifacts", body)

    assert (status, error["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, field)
