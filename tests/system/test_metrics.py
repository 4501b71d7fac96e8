"""Counts and measurements of a whole agent with real programs."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import programs
from tests.containers import Hull, hull
from tests.docker_engine import ask
from tests.harness import Agent, Json

MIB = 1024 * 1024
HELD, BURNT_SECS = 40, 0.3
BUSY = {"MEGABYTES": str(HELD), "SECONDS_OF_CPU": str(BURNT_SECS)}


@pytest.fixture
async def ship() -> AsyncIterator[Hull]:
    async with hull() as ship:
        yield ship


async def of_app(agent: Agent, deployment: Json) -> Json:
    return await agent.ask("GET", f"/api/v1/apps/{deployment['app_id']}/metrics")


async def samples(agent: Agent) -> dict[str, float]:
    """Scrape, and sum up each sample's name over its labels."""
    text = (await agent.api("GET", "/metrics")).text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


async def asleep(agent: Agent, deployment: Json) -> None:
    await agent.ask("POST", f"/api/v1/deployments/{deployment['id']}/sleep")
    await agent.until_asleep(deployment["id"])


async def test_what_a_program_burns_and_holds_is_shown_everywhere(agent: Agent) -> None:
    deployment = await agent.deploy("busy", programs.BUSY, env=BUSY, resources={"memory": "256Mi"})
    for _ in range(3):
        assert (await agent.get("busy")).text == "ok"

    app = await of_app(agent, deployment)
    found = await agent.ask("GET", f"/api/v1/deployments/{deployment['id']}/metrics")
    (task,) = found["tasks"]
    alone = await agent.ask("GET", f"/api/v1/tasks/{task['task_id']}/metrics")
    scraped = await samples(agent)

    for usage in (app["usage"], found["usage"], task["usage"], alone["usage"]):
        assert BURNT_SECS <= usage["cpu_secs"] < 5
        assert HELD * MIB <= usage["memory_bytes"] <= usage["memory_peak_bytes"] < 3 * HELD * MIB
    assert app["traffic"] == found["traffic"] == task["traffic"] == alone["traffic"]
    assert (app["traffic"]["requests"], app["traffic"]["answers"]) == (3, {"2xx": 3})
    assert scraped["paas_requests_total"] == 3
    assert scraped["paas_task_cpu_seconds_total"] >= BURNT_SECS
    assert scraped["paas_task_memory_bytes"] >= HELD * MIB


async def test_a_sleeper_shows_what_it_used_and_needs_after_a_restart_of_the_agent(agent: Agent) -> None:
    deployment = await agent.deploy("busy", programs.BUSY, env=BUSY, resources={"memory": "256Mi"})
    await agent.get("busy")

    await asleep(agent, deployment)

    async def log() -> str:
        return agent.log()

    await agent.until(log, lambda text: "Task stopped" in text)  # the last thing, after all is written
    app = await of_app(agent, deployment)
    assert (app["tasks"], app["usage"]["memory_bytes"]) == (0, 0)
    assert app["usage"]["cpu_secs"] >= BURNT_SECS
    assert app["traffic"]["requests"] == 1
    agent.kill()
    agent.start()
    again = await of_app(agent, deployment)
    assert again["usage"]["memory_peak_bytes"] == app["usage"]["memory_peak_bytes"] >= HELD * MIB
    assert again["traffic"]["requests"] == 0
    assert await agent.tasks_running_now() == []


async def test_the_phases_of_a_real_wake_add_up_to_what_the_client_waited(agent: Agent) -> None:
    deployment = await agent.deploy("slow", programs.SLOW_START, env={"SLOW_S": "3"})
    await asleep(agent, deployment)
    clock = asyncio.get_running_loop()

    began = clock.time()
    assert (await agent.get("slow")).status == 200
    waited_ms = (clock.time() - began) * 1000

    wakes = (await agent.deployment(deployment["id"]))["wakes"]
    phases = {name: phase["last_ms"] for name, phase in wakes["phases"].items()}
    assert wakes["count"] == 1
    until_ready = phases["queue"] + phases["start"] + phases["ready"]
    assert until_ready == pytest.approx(wakes["last_ms"], abs=0.01)
    assert phases["ready"] >= 2950
    assert phases["first_byte"] > 0
    assert waited_ms / 2 <= sum(phases.values()) <= waited_ms, "the rest is the way to the proxy and back"


async def test_crashes_are_counted_and_kept(agent: Agent) -> None:
    deployment = await agent.deploy("fragile", programs.ECHO)
    await agent.get("fragile", "/exit/3")

    async def restarts() -> int:
        return int((await of_app(agent, deployment))["restarts"])

    await agent.until(restarts, lambda count: count == 1)
    assert (await samples(agent))["paas_restarts_total"] == 1
    agent.kill()
    agent.start()
    assert await restarts() == 1


HUNGRY = """
trap "exit 143" TERM
trap 'x=0123456789; while :; do x=$x$x; done' USR1
mkdir -p /tmp/www
httpd -f -p $PORT -h /tmp/www &
while :; do wait $!; done
"""


async def test_a_container_shows_what_it_uses_and_that_it_was_killed_for_it(ship: Hull) -> None:
    agent = ship.agent
    deployment = await ship.deploy("hungry", ship.image(HUNGRY), resources={"memory": "16Mi"})
    assert (await agent.get("hungry")).status == 404

    before = await of_app(agent, deployment)
    assert 0 < before["usage"]["memory_bytes"] <= before["usage"]["memory_peak_bytes"] < 16 * MIB
    assert before["usage"]["cpu_secs"] > 0
    assert (before["restarts"], before["usage"]["oom_kills"]) == (0, 0)
    (running,) = ship.containers(running_only=True)
    ask(ship.socket, "POST", f"/containers/{running['Id']}/kill?signal=USR1")

    async def restarts() -> int:
        return int((await of_app(agent, deployment))["restarts"])

    await agent.until(restarts, lambda count: count == 1)
    assert (await of_app(agent, deployment))["usage"]["oom_kills"] == 1
    assert (await samples(agent))["paas_oom_kills_total"] == 1


async def test_a_frozen_task_still_shows_the_memory_that_it_holds(agent: Agent) -> None:
    deployment = await agent.deploy(
        "busy", programs.BUSY, env=BUSY, resources={"memory": "256Mi"}, idle={"freeze_after_secs": 1}
    )

    async def held() -> Json:
        return await agent.ask("GET", f"/api/v1/deployments/{deployment['id']}/metrics")

    frozen = await agent.until(held, lambda found: found["tasks"][0]["traffic"] is None)

    assert frozen["usage"]["memory_bytes"] >= HELD * MIB
    app = await of_app(agent, deployment)
    assert (app["tasks"], app["in_flight"]) == (1, 0)
    assert app["usage"]["memory_bytes"] >= HELD * MIB
