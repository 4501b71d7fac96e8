"""A real API server over a real database, without an engine: what it acknowledges stays a wish."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from paas.api.kit.parts import AboutAgent, ApiParts
from paas.api.server import ApiServer
from paas.artifacts import ArtifactFiles
from paas.build_files import BuildFiles
from paas.build_logs import BuildLogs
from paas.core.checks import Check
from paas.core.ids import DeploymentId
from paas.core.records import replace
from paas.core.urls import PublicUrls
from paas.engine.commands import Commands
from paas.engine.metering import Metering
from paas.engine.variables import Variables
from paas.router import Router
from paas.store.database import Database
from paas.store.feed import Feed
from paas.task_logs import TaskLogs
from paas.vault import Vault

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


@dataclass(slots=True, kw_only=True)
class Api:
    """The server under test with all that surrounds it."""

    parts: ApiParts
    database: Database
    router: Router
    files: Path
    logs: TaskLogs
    clock: Clock
    client: aiohttp.ClientSession
    port: int
    host: str
    server: ApiServer
    poked: list[DeploymentId]
    problems: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else '127.0.0.1'}:{self.port}"

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
async def serve(
    folder: Path, change: Change = lambda parts: parts, *, host: str = "127.0.0.1"
) -> AsyncIterator[Api]:
    """Run a server on a free port, over whatever parts the test changes."""
    clock, logs = Clock(), TaskLogs(folder / "logs")
    build_logs = BuildLogs(folder / "builds", clock, kept_bytes=UPLOAD_LIMIT)
    poked: list[DeploymentId] = []
    problems: list[str] = []

    async def examine() -> list[Check]:
        return [Check(name="engine", ok=not problems, detail=problem, fix="mend it") for problem in problems]

    files = ArtifactFiles(folder / "artifacts", UPLOAD_LIMIT)
    router = Router(clock, poked.append)
    async with Database.open(folder / "state.db") as database:
        vault = Vault(folder / "secrets.key")
        parts = ApiParts(
            commands=Commands.over(
                database,
                files,
                vault,
                clock,
                poked.append,
                sources=BuildFiles(folder / "builds", UPLOAD_LIMIT),
                poke_builds=build_logs.announce,
            ),
            reader=database.reader,
            variables=Variables(database.reader, vault),
            feed=Feed(database),
            live=router,
            counts=router.counting,
            usage=Metering(database, [], router.counting, clock),
            logs=logs,
            build_logs=build_logs,
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
            examine=examine,
            problems=lambda: problems,
            heartbeat_secs=0.05,
        )
        parts = change(parts)
        server = ApiServer(parts)
        port = await server.start(host, 0)
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
                host=host,
                server=server,
                poked=poked,
                problems=problems,
            )
        await server.close()
    logs.close()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(tmp_path) as running:
        yield running


async def until(is_true: Callable[[], bool]) -> None:
    """Wait for a condition that nobody announces."""
    async with asyncio.timeout(10):
        while not is_true():  # noqa: ASYNC110 - there is nothing to wait on
            await asyncio.sleep(0.01)


def with_blocked(uid: int) -> Change:
    """Refuse callers of a user id."""
    return lambda parts: replace(parts, blocked_uids=frozenset({uid}))


def allow_example(parts: ApiParts) -> ApiParts:
    return replace(parts, allowed_hosts=frozenset({"agent.example"}))


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
