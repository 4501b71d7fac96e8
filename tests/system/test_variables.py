"""Variables with a real agent: who is told what, and nothing is lost while it changes."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import programs
from tests.harness import Agent, running

SECRET = "opensesame-of-the-cave"


async def told(agent: Agent, host: str = "hello") -> Mapping[str, str]:
    """Ask an app what it was told."""
    answer = await agent.get(host)
    assert answer.status == 200, answer.text
    found: Mapping[str, str] = answer.json["env"]
    return found


async def set_variables(agent: Agent, path: str, *, secret: bool | None = None, **env: str | None) -> None:
    await agent.ask("PATCH", f"{path}/env-vars", json={"env": env, "secret": secret})


async def until_told(agent: Agent, name: str, value: str | None, host: str = "hello") -> Mapping[str, str]:
    return await agent.until(lambda: told(agent, host), lambda env: env.get(name) == value)


def held(agent: Agent) -> bytes:
    """Read all that a thief of the database has."""
    return b"".join(path.read_bytes() for path in sorted(agent.state.glob("paas.db*")))


async def test_levels_are_merged_and_changed_without_a_lost_request(agent: Agent) -> None:
    app = await agent.app("hello")
    path = f"/api/v1/apps/{app['id']}"
    await agent.ask("PUT", path, json={"default_deployment_spec": {"env": {"A": "default", "B": "default"}}})
    await set_variables(agent, path, B="app", C="app", D="app")
    await set_variables(agent, f"{path}", E="app")
    deployment = await agent.deploy(
        "hello", programs.ECHO, environment="production", env={"D": "own", "E": None}, replicas=2
    )
    env = await told(agent)
    assert {name: env.get(name) for name in "ABCDE"} == {
        "A": "default",
        "B": "app",
        "C": "app",
        "D": "own",
        "E": None,
    }
    lost: list[Any] = []
    over = asyncio.Event()

    async def ask_on() -> int:
        count = 0
        while not over.is_set():
            answer = await agent.get("hello")
            count += 1
            if answer.status != 200:
                lost.append((answer.status, answer.text))
        return count

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask_on()) for _ in range(4)]
        await agent.ask(
            "PUT", f"{path}/env-vars/C?environment=production", json={"value": "here"}, expect=201
        )
        await until_told(agent, "C", "here")
        await set_variables(agent, f"/api/v1/deployments/{deployment['id']}", C="mine", D=None)
        await until_told(agent, "C", "mine")
        env = await until_told(agent, "D", "app")
        await agent.until(
            lambda: agent.tasks(deployment["id"], "starting", "running", "stopping"),
            lambda found: len(found) == 2 and len({task["revision"] for task in found}) == 1,
        )
        over.set()

    assert lost == []
    assert sum(task.result() for task in asking) > 20
    assert (env["C"], env["D"], env.get("E")) == ("mine", "app", None)


async def test_an_app_that_sleeps_wakes_with_what_was_set_meanwhile_also_after_a_crash(agent: Agent) -> None:
    deployment = await agent.deploy("hello", programs.ECHO, env={"A": "1"})
    path = f"/api/v1/apps/{deployment['app_id']}"
    await agent.ask("POST", f"/api/v1/deployments/{deployment['id']}/sleep")
    await agent.until_asleep(deployment["id"])

    await set_variables(agent, path, B="2", secret=True)
    assert ((await told(agent))["A"], (await told(agent))["B"]) == ("1", "2")
    await agent.ask("POST", f"/api/v1/deployments/{deployment['id']}/sleep")
    await agent.until_asleep(deployment["id"])
    agent.kill()
    agent.start()

    assert (await told(agent))["B"] == "2"


async def test_a_copied_database_tells_no_value(agent: Agent) -> None:
    deployment = await agent.deploy("hello", programs.ECHO, env={"PLAIN": f"{SECRET}-1"})
    path = f"/api/v1/apps/{deployment['app_id']}"
    await agent.ask("PUT", path, json={"default_deployment_spec": {"env": {"D": f"{SECRET}-2"}}})
    await set_variables(agent, path, A=f"{SECRET}-3", secret=True)
    await agent.ask(
        "PUT", f"{path}/env-vars/E?environment=development", json={"value": f"{SECRET}-4"}, expect=201
    )
    await agent.ask("PATCH", f"/api/v1/deployments/{deployment['id']}", json={"spec": {"env": {"A": "x"}}})
    await until_told(agent, "E", f"{SECRET}-4")
    assert b"default_deployment_spec" in held(agent)
    assert SECRET.encode() not in held(agent)

    agent.kill()

    assert SECRET.encode() not in held(agent)
    assert SECRET not in agent.log()


async def test_variables_of_an_environment_go_with_it(agent: Agent) -> None:
    app = await agent.app("hello")
    path = f"/api/v1/apps/{app['id']}"
    await agent.ask("PUT", f"{path}/env-vars/A?environment=staging", json={"value": "1"}, expect=201)

    await agent.ask("DELETE", f"{path}/environments/staging", expect=204)

    await agent.ask("POST", f"{path}/environments", json={"slug": "staging"}, expect=201)
    assert (await agent.ask("GET", f"{path}/env-vars?environment=staging"))["variables"] == []


async def test_a_lost_key_stops_the_agent_with_a_sentence(tmp_path: Path) -> None:
    async with running() as agent:
        await agent.deploy("hello", programs.ECHO, env={"A": "1"})
        agent.kill()
        key = (agent.state / "secrets.key").rename(tmp_path / "kept")
        with pytest.raises(AssertionError, match="did not start"):
            agent.start()
        assert "cannot read the secrets in the database: their key" in agent.log()
        assert agent.process is not None
        agent.kill()

        key.rename(agent.state / "secrets.key")
        agent.start()

        assert (await told(agent))["A"] == "1"
