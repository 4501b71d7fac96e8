"""The agent dies and comes back; the apps do not notice, and nothing is told twice or lost."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.harness import REPOSITORY, Agent, running
from tests.processes import is_alive, processes_of
from tests.system.programs import ON_DEMAND_EXIT, SLOW

LINES = 180  # no more than the API gives of a log unless it is asked
CHATTY = b"""#!/usr/bin/env python3
import http.server, os, threading, time
def talk():
    for number in range(int(os.environ["LINES"])):
        print("line", number, flush=True)
        time.sleep(0.01)
threading.Thread(target=talk, daemon=True).start()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_running_task_is_adopted(agent: Agent, number: int) -> None:
    deployed = await agent.deploy("hello", ON_DEMAND_EXIT, replicas=2, idle_timeout_secs=600)
    pids = {(await agent.get("hello")).body for _ in range(20)}
    tasks = {task["id"] for task in await agent.tasks(deployed["id"], "running")}

    agent.kill(number)
    assert all(is_alive(int(pid)) for pid in pids)
    agent.start()

    assert {(await agent.get("hello")).body for _ in range(20)} <= pids
    assert {task["id"] for task in await agent.tasks(deployed["id"], "running")} == tasks


async def test_an_adopted_app_still_sleeps_and_wakes(agent: Agent) -> None:
    deployed = await agent.deploy("hello", ON_DEMAND_EXIT, idle_timeout_secs=2)
    before = (await agent.get("hello")).body
    agent.kill()
    agent.start()

    await agent.until_asleep(deployed["id"])
    woken = await agent.get("hello")

    assert woken.status == 200
    assert woken.body != before
    assert not is_alive(int(before))


async def test_a_sleeping_app_wakes_after_a_restart(agent: Agent) -> None:
    deployed = await agent.deploy("hello", ON_DEMAND_EXIT)
    await agent.ask("POST", f"/api/v1/deployments/{deployed['id']}/sleep")
    await agent.until_asleep(deployed["id"])

    agent.kill()
    agent.start()

    assert (await agent.deployment(deployed["id"]))["activity"] == "asleep"
    assert (await agent.get("hello")).status == 200


async def test_no_log_line_is_lost_or_told_twice(agent: Agent) -> None:
    deployed = await agent.deploy("chatty", CHATTY, idle_timeout_secs=600, env={"LINES": str(LINES)})
    agent.kill()
    await asyncio.sleep(0.3)  # what it says while nobody listens must be there as well
    agent.start()

    lines = await agent.until(lambda: agent.logs(deployed["id"]), lambda found: len(found) >= LINES)

    assert lines == [f"line {number}" for number in range(LINES)]


async def test_a_task_that_ended_meanwhile_is_recorded_with_its_exit_code(agent: Agent) -> None:
    deployed = await agent.deploy("hello", ON_DEMAND_EXIT, cold_start_enabled=False)
    (task,) = await agent.tasks(deployed["id"], "running")
    pid = int((await agent.get("hello")).body)
    port = task["published_port"]
    agent.kill()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /exit/7 HTTP/1.0\r\n\r\n")
    await reader.read()
    writer.close()

    agent.start()

    assert not is_alive(pid)
    (failed,) = await agent.until(
        lambda: agent.tasks(deployed["id"], "failed"), lambda found: len(found) == 1
    )
    assert (failed["id"], failed["exit_code"]) == (task["id"], 7)
    answer = await agent.until(lambda: agent.get("hello"), lambda found: found.status == 200)
    assert answer.status == 200


async def test_a_deploy_cut_off_half_way_is_finished(agent: Agent) -> None:
    begun = await agent.begin("slow", SLOW)
    await agent.until(lambda: agent.tasks(begun["id"], "starting"), lambda found: len(found) == 1)

    agent.kill()
    agent.start()

    assert (await agent.settled(begun["id"]))["status"] == "running"
    assert (await agent.get("slow")).status == 200
    assert len(await agent.tasks(begun["id"])) == 1


async def test_a_deploy_acknowledged_just_before_the_kill_is_served(agent: Agent) -> None:
    begun = await agent.begin("hello", ON_DEMAND_EXIT)
    agent.kill()

    agent.start()

    assert (await agent.settled(begun["id"]))["status"] == "running"
    assert (await agent.get("hello")).status == 200


async def test_a_stop_cut_off_half_way_is_finished(agent: Agent) -> None:
    stubborn = ON_DEMAND_EXIT.replace(
        b"import http.server, os\n",
        b"import http.server, os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n",
    )
    deployed = await agent.deploy("stubborn", stubborn, stop_grace_secs=2)
    pid = int((await agent.get("stubborn")).body)
    await agent.ask("POST", f"/api/v1/deployments/{deployed['id']}/cancel")
    await agent.until(lambda: agent.tasks(deployed["id"], "stopping"), lambda found: len(found) == 1)

    agent.kill()
    assert is_alive(pid)
    agent.start()

    await agent.until(lambda: agent.tasks(deployed["id"], "stopped"), lambda found: len(found) == 1)
    assert not is_alive(pid)


async def test_a_task_without_a_row_is_stopped(agent: Agent) -> None:
    await agent.deploy("hello", ON_DEMAND_EXIT, idle_timeout_secs=600)
    pid = int((await agent.get("hello")).body)
    agent.kill()
    for name in ("paas.db", "paas.db-wal", "paas.db-shm"):
        (agent.state / name).unlink(missing_ok=True)

    agent.start()

    await agent.until(agent.tasks_running_now, lambda pids: pids == [])
    assert not is_alive(pid)


async def test_a_second_agent_refuses_and_says_who_holds_the_directory(agent: Agent) -> None:
    second = subprocess.run(
        [
            *(sys.executable, "-m", "paas", "serve", "--state", agent.state),
            *("--api", "127.0.0.1:0", "--proxy", "127.0.0.1:0"),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert second.returncode == 1
    assert f"process id {agent.pid} holds it" in second.stderr
    assert (await agent.api("GET", "/health")).status == 200


async def test_the_agent_leaves_no_launcher_behind() -> None:
    async with running() as agent:
        await agent.deploy("hello", ON_DEMAND_EXIT)
        app = await agent.app("hello")
        await agent.ask("DELETE", f"/api/v1/apps/{app['id']}", expect=204)
        await agent.until(agent.tasks_running_now, lambda pids: pids == [])
        state = agent.state

        agent.kill(signal.SIGTERM)

        async def left() -> list[int]:
            return processes_of(state)

        assert await agent.until(left, lambda pids: pids == []) == []


async def test_the_database_is_private(agent: Agent) -> None:
    for name in ("paas.db", "paas.db-wal"):
        assert (agent.state / name).stat().st_mode & 0o077 == 0, name
    assert os.access(Path(agent.state), os.R_OK)


async def test_a_port_in_use_is_said_in_a_sentence(agent: Agent) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        second = subprocess.run(
            [
                *(sys.executable, "-m", "paas", "serve", "--state", folder),
                *("--api", agent.api_url.removeprefix("http://"), "--proxy", "127.0.0.1:0"),
            ],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    assert second.returncode == 1
    assert "cannot listen" in second.stderr
    assert "Traceback" not in second.stderr


async def test_after_everything_died_at_once_apps_come_back(agent: Agent) -> None:
    """As a reboot does: the agent, every launcher and every program end without a word."""
    sleeper = await agent.deploy("sleeper", ON_DEMAND_EXIT, idle_timeout_secs=2)
    await agent.deploy("awake", ON_DEMAND_EXIT, cold_start_enabled=False)
    before = {(await agent.get(name)).body for name in ("sleeper", "awake")}
    agent.kill()
    while found := processes_of(agent.state):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    agent.start()

    for name in ("sleeper", "awake"):
        answer = await agent.until(lambda name=name: agent.get(name), lambda found: found.status == 200)  # type: ignore[misc]  # binds the loop's name
        assert answer.body not in before
    await agent.until_asleep(sleeper["id"])
    assert (await agent.get("sleeper")).status == 200
