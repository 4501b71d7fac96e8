"""Servers that others wrote and that speak no HTTP: asleep, and woken by their own clients."""

import asyncio
import subprocess

from tests.harness import Agent, Json
from tests.requirements import require
from tests.system.archives import archive

TCP = {"protocol": "tcp"}
SERVES = b"web: ./redis-server --bind $HOST --port $PORT --dir $HOME --save ''"


async def _ask_redis(deployed: Json, *words: str) -> str:
    """Ask by Redis's own client; fails with what it says."""
    host, _, port = deployed["tcp_address"].rpartition(":")
    ran = await asyncio.to_thread(
        subprocess.run,
        [require("redis-cli"), "-h", host, "-p", port, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


async def test_redis_sleeps_and_is_woken_by_its_client_with_its_data(agent: Agent) -> None:
    program = archive(
        {
            "redis-server": require("redis-server"),
            "Procfile": SERVES + b" --appendonly yes\n",
        }
    )
    deployed = await agent.deploy("redis", program, networking=TCP)
    path = f"/api/v1/deployments/{deployed['id']}"
    assert await _ask_redis(deployed, "SET", "colour", "blue") == "OK"
    await agent.ask("POST", f"{path}/sleep")
    await agent.until_asleep(deployed["id"])
    assert await agent.tasks_running_now() == []

    # Redis accepts connections, and so is ready, a moment before it has read its file.
    answer = await agent.until(
        lambda: _ask_redis(deployed, "GET", "colour"), lambda found: not found.startswith("LOADING")
    )

    assert answer == "blue"
    assert (await agent.deployment(deployed["id"]))["wakes"]["count"] == 1
    await agent.ask("PATCH", path, json={"spec": {"idle_timeout_secs": 1}})
    await agent.until_asleep(deployed["id"])


async def test_a_crowd_of_redis_clients_wakes_it_once(agent: Agent) -> None:
    program = archive(
        {
            "redis-server": require("redis-server"),
            "Procfile": SERVES + b"\n",
        }
    )
    deployed = await agent.deploy("redis", program, networking=TCP)
    await agent.ask("POST", f"/api/v1/deployments/{deployed['id']}/sleep")
    await agent.until_asleep(deployed["id"])

    answers = await asyncio.gather(*(_ask_redis(deployed, "INCR", "asked") for _ in range(8)))

    assert sorted(map(int, answers)) == list(range(1, 9))
    assert (await agent.deployment(deployed["id"]))["wakes"]["count"] == 1
