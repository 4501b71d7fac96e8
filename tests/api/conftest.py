"""A real API server over a real database, without an engine: what it acknowledges stays a wish."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from paas.api.kit.parts import AboutAgent, ApiParts, PublicUrls
from paas.api.server import ApiServer
from paas.artifacts import ArtifactFiles
from paas.core.ids import DeploymentId, TaskId
from paas.engine.commands import Commands
from paas.router import Router
from paas.store.database import Database
from paas.store.feed import Feed

UPLOAD_LIMIT = 4 * 1024 * 1024
START = 1_700_000_000.0

Json = dict[str, Any]  # what came over the wire, taken apart by each test


class Clock:
    """Time that moves by a millisecond whenever somebody looks."""

    def __init__(self) -> None:
        self.seconds = START

    def now(self) -> float:
        self.seconds += 0.001
        return self.seconds

    def monotonic(self) -> float:
        return self.now()

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Line:
    task_id: TaskId
    at: float
    message: str
    offset: int


class WrittenLogs:
    """Lines in memory that keep the contract of LogReader."""

    def __init__(self) -> None:
        self._lines: dict[TaskId, list[Line]] = {}
        self._more = asyncio.Event()

    def write(self, task_id: TaskId, message: str, *, at: float) -> None:
        lines = self._lines.setdefault(task_id, [])
        lines.append(Line(task_id, at, message, (lines[-1].offset if lines else 0) + len(message) + 1))
        self._more.set()
        self._more = asyncio.Event()

    async def read(
        self, task_id: TaskId, *, after: int = 0, tail: int | None = None, since: float | None = None
    ) -> Sequence[Line]:
        found = [
            line
            for line in self._lines.get(task_id, [])
            if line.offset > after and (since is None or line.at >= since)
        ]
        return found if tail is None else found[len(found) - min(tail, len(found)) :]

    async def follow(self, cursors: Mapping[TaskId, int]) -> AsyncIterator[Line]:
        offsets = dict(cursors)
        while True:
            more = self._more
            for task_id in cursors:
                for line in await self.read(task_id, after=offsets[task_id]):
                    yield line
                    offsets[task_id] = line.offset
            await more.wait()


@dataclass(slots=True, kw_only=True)
class Api:
    """The server under test with all that surrounds it."""

    parts: ApiParts
    database: Database
    router: Router
    files: Path
    logs: WrittenLogs
    clock: Clock
    client: aiohttp.ClientSession
    port: int
    server: ApiServer
    poked: list[DeploymentId]
    problems: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ask(self, method: str, path: str, body: object = None, **options: object) -> tuple[int, Json]:
        """Send one request and read its JSON answer; a body goes as JSON."""
        if body is not None:
            options["json"] = body
        async with self.client.request(method, self.url + path, **options) as response:  # type: ignore[arg-type]
            raw = await response.read()
            return response.status, await response.json() if raw else {}

    async def app(self, name: str = "hello", **fields: object) -> Json:
        status, body = await self.ask("POST", "/api/v1/apps", {"name": name, **fields})
        assert status == 201, body
        return body

    async def deployment(self, app_id: object, **fields: object) -> Json:
        status, body = await self.ask("POST", f"/api/v1/apps/{app_id}/deployments", fields)
        assert status == 201, body
        return body

    async def artifact(self, content: bytes = b"#!/bin/sh\n", **fields: object) -> Json:
        status, body = await self.ask("POST", "/api/v1/artifacts", {"name": "hello", **fields})
        assert status == 201, body
        status, body = await self.ask("POST", f"/api/v1/artifacts/{body['id']}/upload", data=content)
        assert status == 200, body
        return body


Change = Callable[[ApiParts], ApiParts]


@contextlib.asynccontextmanager
async def serve(folder: Path, change: Change = lambda parts: parts) -> AsyncIterator[Api]:
    """Run a server on a free port, over whatever parts the test changes."""
    clock, logs = Clock(), WrittenLogs()
    poked: list[DeploymentId] = []
    problems: list[str] = []
    files = ArtifactFiles(folder / "artifacts", UPLOAD_LIMIT)
    router = Router(clock, poked.append)
    async with Database.open(folder / "state.db") as database:
        parts = ApiParts(
            commands=Commands.over(database, files, clock, poked.append),
            reader=database.reader,
            feed=Feed(database),
            live=router,
            logs=logs,
            artifact_path=files.path,
            urls=PublicUrls(scheme="http", domain="localhost", port=47000),
            about=AboutAgent(
                version="0.0.1",
                node_id="node",
                limits={"memory": "rlimit", "cpu": "none", "containment": "environment"},
                apps_user="nobody",
                shares_agent_user=False,
            ),
            clock=clock,
            problems=lambda: problems,
            heartbeat_secs=0.05,
        )
        parts = change(parts)
        server = ApiServer(parts)
        port = await server.start("127.0.0.1", 0)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as client:
            yield Api(
                parts=parts,
                database=database,
                router=router,
                files=folder / "artifacts",
                logs=logs,
                clock=clock,
                client=client,
                port=port,
                server=server,
                poked=poked,
                problems=problems,
            )
        await server.close()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(tmp_path) as running:
        yield running


def with_blocked(uid: int) -> Change:
    """Refuse callers of a user id."""
    return lambda parts: replace(parts, blocked_uid=uid)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
