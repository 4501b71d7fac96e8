"""Promote and roll back from outside: what runs then, and with which variables."""

from tests import programs
from tests.containers import hull
from tests.harness import Agent, Json
from tests.system.archives import archive
from tests.system.programs import ON_DEMAND_EXIT


async def told(agent: Agent) -> Json:
    return (await agent.get("hello")).json["env"]


async def promote(agent: Agent, deployment: Json, **wish: str) -> Json:
    answered = await agent.ask(
        "POST", f"/api/v1/deployments/{deployment['id']}/promote", json=wish, expect=201
    )
    return await agent.settled(answered["deployment_id"])


async def test_the_variables_of_the_target_apply_below_those_of_the_deployment(agent: Agent) -> None:
    app = await agent.app("hello")
    path = f"/api/v1/apps/{app['id']}"
    for environment in ("development", "production"):
        env = {"PLACE": environment, "OWN": environment}
        await agent.ask("PATCH", f"{path}/env-vars?environment={environment}", json={"env": env})
    source = await agent.deploy("hello", programs.ECHO, env={"OWN": "the deployment's"})
    there = await told(agent)

    promoted = await promote(agent, source)
    here = await told(agent)
    back = await agent.ask("POST", f"{path}/rollback", json={"version": 1}, expect=409)

    assert (there["PLACE"], there["OWN"]) == ("development", "the deployment's")
    assert (here["PLACE"], here["OWN"]) == ("production", "the deployment's")
    assert (promoted["status"], promoted["spec"]["env"]) == ("running", {"OWN": "the deployment's"})
    assert back["code"] == "ALREADY_CURRENT"


async def test_a_rebuild_waits_for_a_build_of_the_same_source(agent: Agent) -> None:
    app = await agent.app("hello")
    build = await agent.ask(
        "POST",
        f"/api/v1/builds?app_id={app['id']}&deploy=true",
        data=archive({"Procfile": b"web: ./echo.py\n", "echo.py": programs.ECHO}),
        headers={"Content-Type": "application/gzip"},
        expect=202,
    )
    built = await agent.until(
        lambda: agent.ask("GET", f"/api/v1/builds/{build['id']}"), lambda found: found["deployment_id"]
    )
    source = await agent.settled(built["deployment_id"])

    promoted = await promote(agent, source, strategy="rebuild")

    assert (promoted["status"], promoted["environment_slug"]) == ("running", "production")
    builds = await agent.ask("GET", f"/api/v1/builds?app_id={app['id']}")
    newest, oldest = builds["data"]
    assert oldest["id"] == build["id"]
    assert newest["deployment_id"] == promoted["id"]
    assert newest["environment"] == "production"
    assert (await agent.deployment(source["id"]))["state"] == "active"


async def test_an_image_is_promoted_as_it_ran_whatever_its_tag_means_now() -> None:
    async with hull() as ship:
        image = ship.image(env={"TEXT": "first"})
        source = await ship.deploy("hello", image)
        ship.image(name=image, env={"TEXT": "second"})

        promoted = await promote(ship.agent, source)

        assert promoted["status"] == "running"
        assert promoted["spec"]["image"] != image
        assert (await ship.agent.get("hello")).text == "first\n"


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
