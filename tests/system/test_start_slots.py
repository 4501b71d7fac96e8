"""Sleepers that find no slot or no memory for their start, seen from outside."""

import asyncio
from pathlib import Path

from tests.harness import Agent, running
from tests.system.programs import ON_DEMAND_EXIT

SLEEPERS, AT_ONCE = 30, 3

# Notes in a shared folder when it begins, and takes a while before it listens.
SLOW_TO_LISTEN = b"""#!/bin/sh
mkdir "$MARKS/begun-$DEPLOYMENT_ID" && sleep 0.3 && mkdir "$MARKS/ready-$DEPLOYMENT_ID"
exec python3 -m http.server --bind "$HOST" "$PORT" --directory "$MARKS"
"""


async def test_thirty_sleepers_asked_at_once_start_three_at_a_time(tmp_path: Path) -> None:
    async with running() as agent:
        _configure(agent, f"starts_at_once = {AT_ONCE}")
        marks = agent.state / "marks"
        artifact = await agent.upload(SLOW_TO_LISTEN, "slow")
        for number in range(SLEEPERS):
            await _asleep_from_birth(agent, f"app{number}", artifact, marks)
        marks.mkdir()
        marks.chmod(0o777)
        most = 0
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(agent.get(f"app{number}")) for number in range(SLEEPERS)]
            while not all(each.done() for each in asked):
                names = [path.name for path in marks.iterdir()]
                begun = {name.removeprefix("begun-") for name in names if name.startswith("begun")}
                ready = {name.removeprefix("ready-") for name in names if name.startswith("ready")}
                most = max(most, len(begun - ready))
                await asyncio.sleep(0.005)

    assert {each.result().status for each in asked} == {200}
    assert 1 <= most <= AT_ONCE


async def test_with_too_little_memory_an_idle_app_is_stopped_and_then_the_wake_is_refused() -> None:
    async with running() as agent:
        idle = await agent.deploy("idle", ON_DEMAND_EXIT, idle_timeout_secs=600)
        sleeper = await agent.deploy("sleeper", ON_DEMAND_EXIT, replicas=0)
        _configure(agent, "reserved_memory_percent = 99.9")
        await agent.until_activity(idle["id"], "idle")

        refused = await agent.get("sleeper")
        await agent.until_asleep(idle["id"])
        (stopped,) = await agent.tasks(idle["id"], "stopped")
        shown = await agent.deployment(sleeper["id"])
        _configure(agent, "log_bytes = 1_000_000")
        answered = await agent.get("sleeper")

    assert (refused.status, int(refused.headers["Retry-After"]) >= 1) == (503, True)
    assert "not enough memory" in refused.headers["X-Error-Detail"]
    assert "others need its memory" in stopped["reason"]
    assert shown["activity"] == "asleep"
    assert answered.status == 200


def _configure(agent: Agent, line: str) -> None:
    """Start the agent again with this line first in its table of tasks, in the place of an earlier one."""
    agent.kill()
    config = agent.state / "config.toml"
    before, _, after = config.read_text().partition("[tasks]\n")
    config.write_text(f"{before}[tasks]\n{line}\n{after[after.index('first_port') :]}")
    agent.start()


async def _asleep_from_birth(agent: Agent, name: str, artifact: str, marks: Path) -> None:
    app = await agent.app(name)
    body = {"artifact_id": artifact, "replicas": 0, "env": {"MARKS": str(marks)}}
    made = await agent.ask("POST", f"/api/v1/apps/{app['id']}/deployments", json=body, expect=201)
    await agent.settled(made["id"])
