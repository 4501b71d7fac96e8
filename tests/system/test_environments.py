"""Environments from outside: each has its own current version and its own host."""

from tests.harness import Agent
from tests.system.programs import ON_DEMAND_EXIT


async def test_each_environment_answers_at_its_own_host_until_it_is_deleted(agent: Agent) -> None:
    development = await agent.deploy("hello", ON_DEMAND_EXIT)
    staging = await agent.deploy("hello", ON_DEMAND_EXIT, environment="staging")
    before = (await agent.get("hello")).body
    production = await agent.deploy("hello", ON_DEMAND_EXIT, environment="production")

    pids = {
        name: (await agent.get(f"hello-default{name}.localhost")).body
        for name in ("", "-production", "-development", "-staging")
    }
    await agent.ask("DELETE", f"/api/v1/apps/{staging['app_id']}/environments/staging", expect=204)

    assert pids[""] == pids["-production"]
    assert pids["-development"] == before
    assert len(set(pids.values())) == 3
    assert [len(each["urls"]) for each in (development, staging, production)] == [3, 2, 3]
    await agent.until(
        lambda: agent.get("hello-default-staging.localhost"), lambda answer: answer.status == 404
    )
    await agent.until(lambda: agent.tasks(staging["id"]), lambda found: found[0]["state"] == "stopped")
    preview = staging["preview_url"].removeprefix("http://").partition(":")[0]
    assert (await agent.get(preview)).status == 404


async def test_the_next_version_takes_the_host_of_its_environment_over(agent: Agent) -> None:
    await agent.deploy("hello", ON_DEMAND_EXIT, environment="staging")
    first = (await agent.get("hello-default-staging.localhost")).body

    deployed = await agent.deploy("hello", ON_DEMAND_EXIT, environment="staging")

    second = await agent.until(
        lambda: agent.get("hello-default-staging.localhost"), lambda answer: answer.body != first
    )
    assert second.status == 200
    assert deployed["urls"][0].startswith("http://hello-default-staging.localhost:")
    agent.kill()
    agent.start()
    assert (await agent.get("hello-default-staging.localhost")).body == second.body
