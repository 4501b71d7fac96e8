"""Workers and release commands of a real agent."""

import asyncio

from tests.harness import Agent, Json
from tests.system.archives import archive

SERVER = b"""#!/usr/bin/env python3
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(os.environ["VERSION"].encode())
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
PROCFILE = b"""web: python3 server.py
# what is no process: is skipped
release: echo "migrates as $PAAS_PROCESS"; test "$VERSION" != broken || { echo no such table; exit 3; }
worker: echo "works as $PAAS_PROCESS at ${PORT:-no port}"; exec sleep 1000
clock: exec sleep 1000
"""
PROGRAM = archive({"server.py": SERVER, "Procfile": PROCFILE})
CLOCK_STAYS = {"clock": {"sleeps": False}}


async def running(agent: Agent, deployment: Json) -> dict[str, list[str]]:
    """List the tasks that run, by process."""
    found: dict[str, list[str]] = {}
    for task in await agent.tasks(deployment["id"], "running"):
        found.setdefault(task["process"], []).append(task["id"])
    return found


async def until_running(agent: Agent, deployment: Json, **counts: int) -> dict[str, list[str]]:
    return await agent.until(
        lambda: running(agent, deployment),
        lambda found: {process: len(ids) for process, ids in found.items()} == counts,
    )


async def test_what_a_procfile_names_runs_sleeps_and_wakes(agent: Agent) -> None:
    deployed = await agent.deploy("hello", PROGRAM, env={"VERSION": "1"}, processes=CLOCK_STAYS)
    said = {"migrates as release", "works as worker at no port"}
    await agent.until(lambda: agent.logs(deployed["id"]), lambda log: said <= set(log))

    await agent.ask("POST", f"/api/v1/deployments/{deployed['id']}/sleep")
    first = await until_running(agent, deployed, clock=1)
    woken = await agent.get("hello")
    again = await until_running(agent, deployed, web=1, worker=1, clock=1)

    assert woken.text == "1"
    assert again["clock"] == first["clock"]
    assert len([task for task in await agent.tasks(deployed["id"]) if task["process"] == "release"]) == 1


async def test_what_outlives_a_killed_agent_is_adopted(agent: Agent) -> None:
    deployed = await agent.deploy("hello", PROGRAM, env={"VERSION": "1"}, processes=CLOCK_STAYS)
    before = await until_running(agent, deployed, web=1, worker=1, clock=1)

    agent.kill()
    agent.start()

    assert await running(agent, deployed) == before
    await agent.ask("POST", f"/api/v1/deployments/{deployed['id']}/sleep")
    asleep = await until_running(agent, deployed, clock=1)
    assert asleep["clock"] == before["clock"]


async def test_a_release_command_goes_on_while_the_agent_is_away_and_runs_once(agent: Agent) -> None:
    procfile = b"web: python3 server.py\nrelease: echo began; until test -e $HOME/go; do sleep 0.05; done\n"
    begun = await agent.begin(
        "hello", archive({"server.py": SERVER, "Procfile": procfile}), env={"VERSION": "1"}
    )
    await agent.until(lambda: agent.logs(begun["id"]), lambda log: log == ["began"])

    agent.kill()
    (home,) = (agent.state / "homes").iterdir()
    (home / "go").touch()
    agent.start()

    assert (await agent.settled(begun["id"]))["status"] == "running"
    assert await agent.logs(begun["id"]) == ["began"]
    assert (await agent.get("hello")).text == "1"


async def test_a_release_command_that_fails_leaves_the_old_version_serving(agent: Agent) -> None:
    await agent.deploy("hello", PROGRAM, env={"VERSION": "1"})
    answers: list[str] = []
    going = True

    async def keep_asking() -> None:
        is_last = False
        while not is_last:
            is_last = not going
            answer = await agent.get("hello")
            answers.append(f"{answer.status} {answer.text}")

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(keep_asking())
        failed = await agent.settled((await agent.begin("hello", PROGRAM, env={"VERSION": "broken"}))["id"])
        new = await agent.deploy("hello", PROGRAM, env={"VERSION": "2"})
        await agent.until(lambda: agent.get("hello"), lambda answer: answer.text == "2")
        going = False

    assert (failed["status"], failed["reason"]) == (
        "failed",
        "its release command exited with 3: no such table",
    )
    assert {task["process"] for task in await agent.tasks(failed["id"])} == {"release"}
    assert set(answers) == {"200 1", "200 2"}
    await until_running(agent, new, web=1, worker=1, clock=1)
