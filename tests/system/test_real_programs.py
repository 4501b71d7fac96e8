"""Programs that others wrote, as artifacts: they run, sleep and wake; open connections keep them awake."""

import time
from collections.abc import Callable

import aiohttp
import pytest

from tests.harness import Agent, Json
from tests.programs import WEBSOCKET_ECHO
from tests.requirements import require
from tests.system.archives import archive

PAGE = b"<!doctype html><title>hello</title><p>from a file</p>\n"
IDLE_SECS = 1
HELD_SECS = 3.0

# Server-sent events as a quiet feed has them: one now, and then nothing until the client leaves.
QUIET_FEED = b"""#!/usr/bin/env python3
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Type", "text/event-stream"); self.end_headers()
        self.wfile.write(b"id: 1\\ndata: hello\\n\\n")
        self.connection.recv(1)
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


def _caddy() -> bytes:
    return archive(
        {
            "caddy": require("caddy"),
            "index.html": PAGE,
            "Procfile": b"web: ./caddy file-server --listen $HOST:$PORT --root .\n",
        }
    )


def _busybox() -> bytes:
    return archive(
        {
            "busybox": require("busybox"),
            "index.html": PAGE,
            "Procfile": b"web: ./busybox httpd -f -p $HOST:$PORT -h .\n",
        }
    )


def _python() -> bytes:
    require("python3")
    return archive(
        {"index.html": PAGE, "Procfile": b"web: python3 -m http.server $PORT --bind $HOST\n"},
    )


@pytest.mark.parametrize("pack", [_caddy, _busybox, _python], ids=["caddy", "busybox", "python"])
async def test_a_file_server_is_deployed_sleeps_and_wakes(agent: Agent, pack: Callable[[], bytes]) -> None:
    deployed = await agent.deploy("site", pack(), idle_timeout_secs=IDLE_SECS)
    first = await agent.get("site", "/index.html")
    await agent.until_asleep(deployed["id"])
    assert await agent.tasks_running_now() == []

    woken = await agent.get("site", "/index.html")
    missing = await agent.get("site", "/nothing-here")

    assert (first.status, first.body) == (200, PAGE)
    assert (woken.status, woken.body) == (200, PAGE)
    assert "Server-Timing" in woken.headers
    assert missing.status == 404


async def test_an_open_websocket_keeps_its_app_awake_and_its_end_lets_it_sleep(agent: Agent) -> None:
    deployed = await agent.deploy("echo", WEBSOCKET_ECHO, idle_timeout_secs=IDLE_SECS)
    assert agent.session is not None

    async with agent.session.ws_connect(agent.proxy_url, headers={"Host": "echo-default.localhost"}) as line:
        await line.send_str("hello")
        assert await line.receive_str() == "hello"
        (task,) = await _awake_all_the_time(agent, deployed)
        await line.send_bytes(b"still here" * 10_000)
        assert await line.receive_bytes() == b"still here" * 10_000
        assert [found["id"] for found in await agent.tasks(deployed["id"], "running")] == [task["id"]]

    await agent.until_asleep(deployed["id"])
    assert await agent.tasks_running_now() == []


async def test_a_websocket_wakes_a_sleeping_app(agent: Agent) -> None:
    deployed = await agent.deploy("echo", WEBSOCKET_ECHO, idle_timeout_secs=IDLE_SECS)
    await agent.until_asleep(deployed["id"])
    assert agent.session is not None

    async with agent.session.ws_connect(agent.proxy_url, headers={"Host": "echo-default.localhost"}) as line:
        await line.send_str("good morning")
        message = await line.receive()

    assert (message.type, message.data) == (aiohttp.WSMsgType.TEXT, "good morning")


async def test_a_quiet_event_stream_keeps_its_app_awake_and_its_end_lets_it_sleep(agent: Agent) -> None:
    deployed = await agent.deploy("feed", QUIET_FEED, idle_timeout_secs=IDLE_SECS)
    await agent.until_asleep(deployed["id"])
    assert agent.session is not None

    async with agent.session.get(agent.proxy_url, headers={"Host": "feed-default.localhost"}) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert await stream.content.readline() == b"id: 1\n"
        await _awake_all_the_time(agent, deployed)
        assert not stream.content.at_eof()

    await agent.until_asleep(deployed["id"])


async def _awake_all_the_time(agent: Agent, deployed: Json) -> Json:
    """Watch its tasks for much longer than its idle time; returns those that run, the same throughout."""
    # Its record comes after its answer.
    await agent.until(lambda: agent.tasks(deployed["id"], "running"), lambda found: len(found) == 1)
    began = time.monotonic()
    seen: list[list[str]] = []

    async def running() -> Json:
        found = await agent.tasks(deployed["id"], "starting", "running")
        seen.append([task["id"] for task in found])
        return found

    found = await agent.until(running, lambda _: time.monotonic() - began > HELD_SECS)
    assert all(ids == seen[0] and len(ids) == 1 for ids in seen), seen
    return found
