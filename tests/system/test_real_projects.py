"""Projects that others wrote, sent as they are: found out, built, deployed, asleep, and awake again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.containers import hull
from tests.docker_engine import engine_socket
from tests.harness import Agent, running
from tests.python_image import python_image
from tests.real_projects import DOCKERFILE_PROJECT, PROJECTS, SETTINGS, Project, built, packed


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    async with running(settings=SETTINGS) as agent:
        yield agent


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
async def test_project_is_deployed_by_detection_alone(agent: Agent, tmp_path: Path, project: Project) -> None:
    source = await asyncio.to_thread(project.fetch, tmp_path)

    await deploy_and_wake(agent, project, source)


async def test_project_with_a_dockerfile_is_deployed_by_detection_alone(tmp_path: Path) -> None:
    source = await asyncio.to_thread(DOCKERFILE_PROJECT.fetch, tmp_path)
    with python_image(engine_socket(), source / "requirements.txt"):
        async with hull() as afloat:
            await deploy_and_wake(afloat.agent, DOCKERFILE_PROJECT, source)


async def deploy_and_wake(agent: Agent, project: Project, source: Path) -> None:
    build = await built(agent, project, packed(source))
    deployment = await agent.settled(build["deployment_id"])

    assert deployment["status"] == "running", [deployment["reason"], *await agent.logs(deployment["id"])]
    assert build["recipe"] == project.recipe
    assert project.shows in (await agent.get(project.name, project.path)).text
    await agent.ask("POST", f"/api/v1/deployments/{deployment['id']}/sleep")
    await agent.until_asleep(deployment["id"])
    assert project.shows in (await agent.get(project.name, project.path)).text
