"""Frozen native programs, from outside: what they keep, who wakes them, what still reaches them."""

import asyncio
from pathlib import Path

import pytest

from tests.harness import Agent, Json, running
from tests.processes import is_alive

# Counts while it runs, closes connections that were quiet for half a second, and ends in its own way.
COUNTER = b"""#!/usr/bin/env python3
import http.server, os, signal, sys, threading, time
count = 0
def tick():
    global count
    while True:
        time.sleep(0.001); count += 1
def leave(number, frame):
    print("ends at", count, flush=True); os._exit(0)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 0.5
    def do_GET(self):
        body = f"{os.getpid()} {count}".encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
signal.signal(signal.SIGTERM, leave)
threading.Thread(target=tick, daemon=True).start()
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
IDLE = {"freeze_after_secs": 1, "stop_after_secs": 600}


async def pid_and_count(agent: Agent) -> tuple[int, int]:
    answer = await agent.get("counter")
    assert answer.status == 200, answer.text
    pid, count = answer.text.split()
    return int(pid), int(count)


def wakes(shown: Json) -> int:
    return 0 if shown["wakes"] is None else int(shown["wakes"]["count"])


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def test_an_idle_program_freezes_and_goes_on_where_it_was(agent: Agent) -> None:
    deployed = await agent.deploy("counter", COUNTER, idle=IDLE, replicas=1)
    pid, _ = await pid_and_count(agent)
    frozen = await agent.until_activity(deployed["id"], "frozen")
    used = cpu_ticks(pid)
    await asyncio.sleep(0.7)  # longer than the server keeps a quiet connection

    assert is_alive(pid)
    assert cpu_ticks(pid) == used
    assert (frozen["tasks_ready"], frozen["status"]) == (0, "running")
    again, count = await pid_and_count(agent)

    assert again == pid
    assert count > 0
    assert wakes(await agent.deployment(deployed["id"])) == wakes(frozen) + 1
    (task,) = await agent.tasks(deployed["id"])
    assert task["state"] == "running"


async def test_many_freezes_lose_no_request_of_a_server_with_a_short_patience(agent: Agent) -> None:
    deployed = await agent.deploy("counter", COUNTER, idle=IDLE)

    for _ in range(3):
        await agent.until_activity(deployed["id"], "frozen")
        answers = await asyncio.gather(*(agent.get("counter") for _ in range(20)))
        assert {answer.status for answer in answers} == {200}


async def test_sleep_asks_a_frozen_program_to_end(agent: Agent) -> None:
    deployed = await agent.deploy("counter", COUNTER, idle=IDLE)
    await agent.until_activity(deployed["id"], "frozen")

    await agent.ask("POST", f"/api/v1/deployments/{deployed['id']}/sleep")
    await agent.until_asleep(deployed["id"])

    (stopped,) = await agent.tasks(deployed["id"], "stopped")
    assert stopped["exit_code"] == 0
    assert any("ends at" in line for line in await agent.logs(deployed["id"]))


async def test_a_frozen_program_outlives_the_agent_and_wakes_by_a_thaw(agent: Agent) -> None:
    deployed = await agent.deploy("counter", COUNTER, idle=IDLE, replicas=2)
    await agent.until_activity(deployed["id"], "frozen")
    pids = set(await agent.tasks_running_now())

    agent.kill()
    agent.start()
    found = await agent.deployment(deployed["id"])
    used = {pid: cpu_ticks(pid) for pid in pids}
    await asyncio.sleep(0.2)
    assert {pid: cpu_ticks(pid) for pid in pids} == used
    pid, _ = await pid_and_count(agent)

    assert found["activity"] == "frozen"
    assert pid in pids
    assert pids == set(await agent.tasks_running_now())
    assert len(await agent.tasks(deployed["id"])) == 2


async def test_deploying_over_deleting_and_stopping_treat_it_as_running(agent: Agent) -> None:
    old = await agent.deploy("counter", COUNTER, idle=IDLE)
    await agent.until_activity(old["id"], "frozen")

    new = await agent.deploy("counter", COUNTER, idle=IDLE)
    await agent.until_asleep(old["id"])
    (ended,) = await agent.tasks(old["id"], "stopped")
    await agent.until_activity(new["id"], "frozen")
    (task,) = await agent.tasks(new["id"], "running")
    await agent.ask("POST", f"/api/v1/tasks/{task['id']}/stop")
    await agent.until(lambda: agent.tasks(new["id"], "stopped"), lambda found: len(found) == 1)
    await pid_and_count(agent)
    await agent.until_activity(new["id"], "frozen")
    await agent.ask("DELETE", f"/api/v1/apps/{new['app_id']}", expect=204)
    await agent.until(agent.tasks_running_now, lambda found: not found)

    assert ended["exit_code"] == 0


async def test_max_runtime_ends_a_frozen_program(agent: Agent) -> None:
    deployed = await agent.deploy("counter", COUNTER, idle=IDLE, max_runtime_secs=3)
    await agent.until_activity(deployed["id"], "frozen")

    stopped = await agent.until(lambda: agent.tasks(deployed["id"], "stopped"), lambda found: len(found) == 1)

    assert "max_runtime_secs" in stopped[0]["reason"]


@pytest.mark.parametrize("number", [1, 3])
async def test_a_request_right_after_it_froze_or_while_it_freezes_is_answered(number: int) -> None:
    async with running() as agent:
        await agent.deploy("counter", COUNTER, idle=IDLE, replicas=number)
        pids = {(await pid_and_count(agent))[0]}
        for tenth in range(8):
            await asyncio.sleep(0.96 + tenth / 100)  # around the moment when it freezes
            pids.add((await pid_and_count(agent))[0])

    assert len(pids) <= number
