"""Bodies of a GiB through the proxy and through the API: whole, and never in the agent's memory."""

import asyncio
import contextlib
import hashlib
import itertools
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from tests.harness import Agent
from tests.programs import ECHO

MEBIBYTE = 1024 * 1024
SIZE = 1024 * MEBIBYTE
BLOCK = hashlib.shake_256(b"a block that does not repeat in itself").digest(MEBIBYTE)
GROWTH_KIB = 16 * 1024
HOST = {"Host": "echo-default.localhost"}
HELD_BY_KERNEL_AND_PROXY = 32 * MEBIBYTE

# Answers with as many bytes as the path says; tells at /sent how many have left it so far.
SENDER = b"""#!/usr/bin/env python3
import http.server, os
sent = 0
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global sent
        if self.path == "/sent":
            self.send_response(200); self.end_headers(); self.wfile.write(str(sent).encode()); return
        left = int(self.path[1:])
        self.send_response(200); self.send_header("Content-Length", str(left)); self.end_headers()
        while left:
            done = self.connection.send(bytes(min(left, 65536))); left -= done; sent += done
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


class Memory:
    """Watches how much of the agent is resident, in KiB, and the most that it was."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.before = self.most = self._read()

    def _read(self) -> int:
        status = Path(f"/proc/{self._agent.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1])

    def look(self) -> None:
        self.most = max(self.most, self._read())

    @property
    def growth(self) -> int:
        self.look()
        return self.most - self.before


async def _blocks(memory: Memory, digest: "hashlib._Hash") -> AsyncIterator[bytes]:
    """Make a GiB as it is wanted."""
    for number in range(SIZE // MEBIBYTE):
        block = number.to_bytes(8, "big") + BLOCK[8:]
        digest.update(block)
        yield block
        if number % 16 == 0:
            memory.look()


async def test_a_gibibyte_goes_up_to_an_app(agent: Agent) -> None:
    await agent.deploy("echo", ECHO)
    await agent.get("echo")
    memory, digest = Memory(agent), hashlib.sha256()

    answer = await agent.get("echo", method="POST", data=_blocks(memory, digest))

    assert answer.status == 200
    assert answer.json["body_bytes"] == SIZE
    assert answer.json["body_sha256"] == digest.hexdigest()
    assert memory.growth < GROWTH_KIB


async def test_a_gibibyte_comes_down_from_an_app(agent: Agent) -> None:
    await agent.deploy("echo", ECHO)
    await agent.get("echo")
    memory = Memory(agent)
    assert agent.session is not None

    async with agent.session.get(f"{agent.proxy_url}/bytes/{SIZE}", headers=HOST) as answer:
        read, zeros = 0, True
        async for block in answer.content.iter_chunked(MEBIBYTE):
            read += len(block)
            zeros = zeros and not block.strip(b"\0")
            memory.look()

    assert answer.headers["Content-Length"] == str(SIZE)
    assert (read, zeros) == (SIZE, True)
    assert memory.growth < GROWTH_KIB


async def test_a_gibibyte_is_kept_as_an_artifact_and_given_back(agent: Agent) -> None:
    await agent.upload(b"#!/bin/sh\n")
    made = await agent.ask("POST", "/api/v1/artifacts", json={"name": "large"}, expect=201)
    memory, digest = Memory(agent), hashlib.sha256()
    assert agent.session is not None

    kept = await agent.ask("POST", f"/api/v1/artifacts/{made['id']}/upload", data=_blocks(memory, digest))
    back = hashlib.sha256()
    async with agent.session.get(f"{agent.api_url}/api/v1/artifacts/{made['id']}/download") as answer:
        async for block in answer.content.iter_chunked(MEBIBYTE):
            back.update(block)
            memory.look()

    assert (kept["size"], kept["sha256"]) == (SIZE, digest.hexdigest())
    assert back.hexdigest() == digest.hexdigest()
    assert memory.growth < GROWTH_KIB


async def test_readers_that_stall_cost_the_agent_little(agent: Agent) -> None:
    deployed = await agent.deploy("sender", SENDER)
    await agent.get("sender", "/0")
    memory = Memory(agent)
    host, port = agent.proxy_url.removeprefix("http://").split(":")
    request = f"GET /{SIZE} HTTP/1.1\r\nHost: sender-default.localhost\r\n\r\n".encode()

    with contextlib.ExitStack() as stack:
        for _ in range(10):
            line = stack.enter_context(socket.create_connection((host, int(port))))
            await asyncio.to_thread(line.sendall, request)
            assert await asyncio.to_thread(line.recv, 17) == b"HTTP/1.1 200 OK\r\n"
        seen = itertools.count()
        earlier = -1

        async def has_stopped() -> bool:
            nonlocal earlier
            await asyncio.sleep(0.2)
            earlier, now = int((await agent.get("sender", "/sent")).body), earlier
            memory.look()
            return next(seen) > 0 and earlier == now

        await agent.until(has_stopped, lambda stopped: stopped)

        assert earlier < 10 * HELD_BY_KERNEL_AND_PROXY
        assert memory.growth < GROWTH_KIB
        assert (await agent.deployment(deployed["id"]))["in_flight"] == 10
