"""Promote and roll back from outside, with the variables and the answers that go with it."""

from tests.harness import Agent
from tests.system.programs import ON_DEMAND_EXIT


async def test_a_rollback_brings_the_version_before_back(agent: Agent) -> None:
    first = await agent.deploy("hello", ON_DEMAND_EXIT)
    second = await agent.deploy("hello", ON_DEMAND_EXIT + b"\n")
    path = f"/api/v1/apps/{first['app_id']}/rollback"

    answered = await agent.ask("POST", path, json={}, expect=201)

    back = await agent.settled(answered["deployment_id"])
    assert (back["status"], back["version"]) == ("running", 3)
    assert back["spec"]["artifact_id"] == first["spec"]["artifact_id"]
    assert (await agent.deployment(second["id"]))["status"] == "succeeded"
    assert answered["message"] == "Deployment created and scheduler notified"
    refused = await agent.ask("POST", path, json={"version": 3}, expect=409)
    assert refused["code"] == "ALREADY_CURRENT"


async def test_a_killed_agent_keeps_a_promotion_that_it_answered(agent: Agent) -> None:
    source = await agent.deploy("hello", ON_DEMAND_EXIT)

    answered = await agent.ask("POST", f"/api/v1/deployments/{source['id']}/promote", json={}, expect=201)
    agent.kill()
    agent.start()

    settled = await agent.settled(answered["deployment_id"])
    assert (settled["status"], settled["environment_slug"]) == ("running", "production")
    listed = await agent.ask("GET", f"/api/v1/apps/{source['app_id']}/deployments")
    assert [each["version"] for each in listed["deployments"]] == [2, 1]
