"""kill -9 of the agent at each stage of a build: what was acknowledged ends as documented, once."""

import asyncio
import contextlib
import json
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.git_server import GitServer, serving
from tests.harness import Agent, Json
from tests.requirements import require
from tests.system.archives import archive

WEB = b"web: exec python3 -m http.server $PORT --bind $HOST\n"
FILES = {"Procfile": WEB.decode(), "index.html": "built\n"}
TAR_GZ = {"Content-Type": "application/gzip"}


@pytest.fixture
def door() -> Iterator[socket.socket]:
    """Where slow builds wait until it listens no more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def open_(door: socket.socket) -> None:
    """Let all go on who wait, and all who come later."""
    door.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def git(tmp_path: Path) -> Iterator[GitServer]:
    with serving(tmp_path / "repositories") as server:
        server.publish("hello.git", FILES)
        yield server


async def build_repository(agent: Agent, git: GitServer, name: str) -> Json:
    app = await agent.app(name)
    body = {"app_id": app["id"], "git": {"url": git.address("hello.git")}, "deploy": True}
    return await agent.ask("POST", "/api/v1/builds", json=body, expect=202)


async def build_slowly(agent: Agent, door: socket.socket) -> Json:
    """Build an archive with a step that waits at a door, and wait until that has begun."""
    require("curl")
    step = f"echo begun; curl -s http://127.0.0.1:{door.getsockname()[1]} || :"
    app = await agent.app("hello")
    build = await agent.ask(
        "POST",
        "/api/v1/builds",
        params={"app_id": app["id"], "deploy": "true", "commands": json.dumps([step])},
        data=archive({"Procfile": WEB, "index.html": b"built\n"}),
        headers=TAR_GZ,
        expect=202,
    )
    await agent.until(lambda: said(agent, build), lambda lines: "begun" in lines)
    return build


async def said(agent: Agent, build: Json) -> list[str]:
    entries = await agent.ask("GET", f"/api/v1/builds/{build['id']}/logs")
    return [entry["message"] for entry in entries]


async def ends_once(agent: Agent, build: Json, app: str = "hello") -> None:
    """Wait until a build has succeeded, and see that one artifact and one deployment came of it."""
    path = f"/api/v1/builds/{build['id']}"
    ended = await agent.until(
        lambda: agent.ask("GET", path), lambda found: found["ended_at"] is not None, limit=60
    )
    assert ended["state"] == "succeeded", await said(agent, build)
    (deployment,) = (await agent.ask("GET", f"/api/v1/deployments?app_id={build['app_id']}"))["data"]
    assert deployment["id"] == ended["deployment_id"]
    assert deployment["spec"]["artifact_id"] == ended["artifact_id"]
    assert (await agent.settled(deployment["id"]))["status"] == "running"
    assert (await agent.get(app)).body == b"built\n"


async def artifacts(agent: Agent) -> int:
    return int((await agent.ask("GET", "/api/v1/artifacts"))["total"])


def kept_files(agent: Agent) -> list[Path]:
    folder = agent.state / "artifacts"
    return [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []


@contextlib.contextmanager
def nobody_writes(agent: Agent) -> Iterator[None]:
    """Hold the database, so that the agent cannot record anything."""
    database = sqlite3.connect(agent.state / "paas.db", isolation_level=None, timeout=10)
    with contextlib.closing(database):
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


async def test_source_that_was_still_arriving_leaves_no_trace(agent: Agent) -> None:
    app = await agent.app("hello")
    came = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield bytes(4 * 1024**2)
        came.set()
        await asyncio.Event().wait()

    async def send() -> None:
        with contextlib.suppress(aiohttp.ClientError):
            await agent.api("POST", f"/api/v1/builds?app_id={app['id']}", data=slowly(), headers=TAR_GZ)

    async with asyncio.TaskGroup() as group:
        sending = group.create_task(send())
        await came.wait()
        folder = agent.state / "builds"
        await agent.until(lambda: _listed(folder), bool)
        agent.kill()
        sending.cancel()
    agent.start()

    await agent.until(lambda: _listed(folder), lambda found: not found)
    assert (await agent.ask("GET", "/api/v1/builds"))["total"] == 0


async def test_queued_and_fetching_builds_are_done_by_the_next_agent(agent: Agent, git: GitServer) -> None:
    git.stalls = True
    fetching = await build_repository(agent, git, "hello")
    await asyncio.to_thread(git.stalled.wait, 30)
    queued = await build_repository(agent, git, "other")

    agent.kill()
    git.stalls = False
    git.released.set()
    agent.start()

    await ends_once(agent, fetching)
    await ends_once(agent, queued, "other")
    assert "The agent was restarted: the build begins again." in await said(agent, fetching)
    assert "The agent was restarted: the build begins again." not in await said(agent, queued)
    assert (await artifacts(agent), len(kept_files(agent))) == (2, 1)


async def test_step_that_ran_is_run_again(agent: Agent, door: socket.socket) -> None:
    build = await build_slowly(agent, door)

    agent.kill()
    open_(door)
    agent.start()

    await ends_once(agent, build)
    assert (await said(agent, build)).count("begun") == 2
    assert await artifacts(agent) == 1


async def test_artifact_without_its_row_is_made_again_and_kept_once(
    agent: Agent, door: socket.socket
) -> None:
    build = await build_slowly(agent, door)
    with nobody_writes(agent):
        open_(door)
        await agent.until(lambda: asyncio.to_thread(kept_files, agent), bool)
        agent.kill()

    agent.start()

    await ends_once(agent, build)
    assert (await artifacts(agent), len(kept_files(agent))) == (1, 1)


async def _listed(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
