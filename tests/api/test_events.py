"""The event feed over HTTP, and how streams end."""

import asyncio
import socket
from http import HTTPStatus
from pathlib import Path

import pytest

from paas.api import server
from paas.store import feed
from tests.api.conftest import Api, serve, until
from tests.api.streams import LIMIT_SECS, open_stream


async def test_events_are_listed_oldest_first(api: Api) -> None:
    one, two = await api.app("one"), await api.app("two")

    _, newest = await api.ask("GET", "/api/v1/events?limit=1")
    _, after = await api.ask("GET", "/api/v1/events?after=0")
    _, of_one = await api.ask("GET", f"/api/v1/events?app_id={one['id']}")

    assert [event["app_id"] for event in newest["events"]] == [two["id"]]
    assert [event["seq"] for event in after["events"]] == [1, 2]
    assert after["last_seq"] == 2
    (event,) = of_one["events"]
    assert (event["kind"], event["facts"]) == ("app.created", {"name": "one", "namespace": "default"})
    assert set(event) == {"seq", "at", "kind", "app_id", "deployment_id", "task_id", "reason", "facts"}


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=1001", "afer=1"])
async def test_bad_event_window_is_refused(api: Api, query: str) -> None:
    status, error = await api.ask("GET", f"/api/v1/events?{query}")

    assert (status, error["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, query.split("=", maxsplit=1)[0])


async def test_event_stream_resumes_after_the_last_id(api: Api) -> None:
    await api.app("before")
    url = f"{api.url}/api/v1/events"

    async with open_stream(api.client, url) as stream:
        await api.app("one")
        first = await stream.next()
    await api.app("two")
    await api.app("three")
    async with open_stream(api.client, url, first.id) as stream:
        rest = await stream.take(2)
    async with open_stream(api.client, f"{url}?after=0") as stream:
        every = await stream.take(4)

    assert first.data["facts"]["name"] == "one"
    assert [frame.data["facts"]["name"] for frame in rest] == ["two", "three"]
    assert [frame.id for frame in every] == ["1", "2", "3", "4"]
    assert first.fields == ("id", "data")


async def test_silent_stream_has_heartbeats(api: Api) -> None:
    async with open_stream(api.client, f"{api.url}/api/v1/events") as stream:
        await stream.comment()
        await stream.comment()


async def test_slow_reader_loses_nothing(api: Api) -> None:
    count = 300
    async with open_stream(api.client, f"{api.url}/api/v1/events?after=0") as stream:
        for start in range(0, count, 50):
            await asyncio.gather(
                *(api.app(f"app-{n}", description="x" * 2000) for n in range(start, start + 50))
            )

        frames = await stream.take(count)

    assert [int(frame.id) for frame in frames] == list(range(1, count + 1))


async def test_reader_that_resets_while_it_is_waited_for_is_no_failure(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    loop, before = asyncio.get_running_loop(), len(asyncio.all_tasks())
    async with api.database.record() as tx:
        for _ in range(200):  # more than all buffers on the way take
            await feed.append(tx, "noise", at=0.0, facts={"text": "x" * 100_000})

    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # its end is a reset
        slow.setblocking(False)
        await loop.sock_connect(slow, ("127.0.0.1", api.port))
        head = "GET /api/v1/events?after=0 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
        await loop.sock_sendall(slow, head.encode())
        await until(lambda: any(each.get_write_buffer_size() for each in transports(api)))

    await until(lambda: len(asyncio.all_tasks()) <= before)
    assert caplog.records == []


def transports(api: Api) -> list[asyncio.Transport]:
    """List the open connections, as the server has them."""
    assert api.server._runner is not None
    assert api.server._runner.server is not None
    found = (each.transport for each in api.server._runner.server.connections)
    return [each for each in found if isinstance(each, asyncio.Transport)]


async def test_close_waits_for_no_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FAREWELL_SECS", 10 * LIMIT_SECS)
    async with serve(tmp_path) as api, open_stream(api.client, f"{api.url}/api/v1/events") as stream:
        await stream.comment()

        async with asyncio.timeout(LIMIT_SECS):
            await api.server.close()
            await stream.response.read()


async def test_stream_whose_client_left_ends(api: Api) -> None:
    before = len(asyncio.all_tasks())
    async with open_stream(api.client, f"{api.url}/api/v1/events") as stream:
        await stream.comment()
        during = len(asyncio.all_tasks())
        stream.response.close()

    await until(lambda: len(asyncio.all_tasks()) <= before)
    assert during > before
