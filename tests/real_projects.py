"""Projects that others wrote, how they are sent, and by what one sees that they run."""

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests import real_sources
from tests.harness import Agent, Json

SETTINGS = "[builds]\ncpus = 2.0\n"
PATIENCE_SECS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What is sent, and by what one sees that it runs."""

    name: str
    fetch: Callable[[Path], Path]
    recipe: str
    path: str
    shows: str


PROJECTS = (
    Project(
        name="flask",
        fetch=real_sources.flask_app,
        recipe="python-project",
        path="/get?shown=here",
        shows="flask-default.localhost",
    ),
    Project(
        name="fastapi",
        fetch=real_sources.fastapi_app,
        recipe="python-project",
        path="/word/crane?guess=trace",
        shows='{"slot":3,"guess":"c","result":"present"}',
    ),
    Project(
        name="datasette",
        fetch=real_sources.datasette,
        recipe="python-project",
        path="/-/versions.json",
        shows='"version": "0.65.5"',
    ),
    Project(
        name="express",
        fetch=real_sources.express_app,
        recipe="node-unlocked",
        path="/",
        shows="Welcome to Express",
    ),
    Project(
        name="static",
        fetch=real_sources.static_site,
        recipe="static",
        path="/",
        shows="Hello world! This is HTML5 Boilerplate.",
    ),
    Project(
        name="go",
        fetch=real_sources.go_program,
        recipe="go",
        path="/users/carl",
        shows="Carl Jackson",
    ),
)
DOCKERFILE_PROJECT = Project(
    name="dockerfile",
    fetch=real_sources.dockerfile_project,
    recipe="dockerfile",
    path="/ping",
    shows="pong",
)


async def built(agent: Agent, project: Project, archive: bytes) -> Json:
    """Send a source to be built and deployed, and wait until it is built."""
    await agent.app(project.name)
    build = await agent.ask(
        "POST",
        "/api/v1/builds",
        params={"name": project.name, "deploy": "true"},
        data=io.BytesIO(archive),
        headers={"Content-Type": "application/gzip"},
        expect=202,
    )
    ended = await agent.until(
        lambda: agent.ask("GET", f"/api/v1/builds/{build['id']}"),
        lambda found: found["state"] in {"succeeded", "failed", "cancelled"},
        PATIENCE_SECS,
    )
    said_by_it = await agent.ask("GET", f"/api/v1/builds/{build['id']}/logs")
    assert ended["state"] == "succeeded", [ended, *(line["message"] for line in said_by_it)]
    return ended


def packed(folder: Path) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as archive:
        archive.add(folder, arcname=folder.name)
    return stream.getvalue()
