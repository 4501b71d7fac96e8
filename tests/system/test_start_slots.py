"""Thirty sleepers woken at once, as after a reboot, seen from outside."""

import asyncio
from pathlib import Path

from tests.harness import Agent, running

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


def _configure(agent: Agent, line: str) -> None:
    """Start the agent again with another line in its table of tasks."""
    agent.kill()
    config = agent.state / "config.toml"
    config.write_text(config.read_text().replace("[tasks]\n", f"[tasks]\n{line}\n"))
    agent.start()


async def _asleep_from_birth(agent: Agent, name: str, artifact: str, marks: Path) -> None:
    app = await agent.app(name)
    body = {"artifact_id": artifact, "replicas": 0, "env": {"MARKS": str(marks)}}
    made = await agent.ask("POST", f"/api/v1/apps/{app['id']}/deployments", json=body, expect=201)
    await agent.settled(made["id"])
