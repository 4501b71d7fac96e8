"""Deploys, requests, crashes, sleeps, and deaths of the agent at random; then everything must be true.

CHAOS_SECS sets how long (default 20), CHAOS_SEED which history.
"""

import asyncio
import os
import random
import sqlite3
import time
from collections import Counter
from pathlib import Path

import aiohttp

from tests.harness import Agent, Answer
from tests.processes import processes_of
from tests.waiting import until

APPS = ("one", "two", "three", "four")
SECONDS = float(os.environ.get("CHAOS_SECS", "20"))
SEED = int(os.environ.get("CHAOS_SEED", "7"))
PROGRAM = b"""#!/usr/bin/env python3
import http.server, os, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            os._exit(1)
        said = (os.environ["APP_NAME"] + " " + os.environ["DEPLOYMENT_ID"]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))  # or a crash half-way looks like an end
        self.end_headers()
        self.wfile.write(said)
    def log_message(self, *arguments):
        pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    request_queue_size = 128
    daemon_threads = True
Server((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


class Chaos:
    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.random = random.Random(SEED)
        self.artifact = ""
        self.acknowledged: dict[str, set[str]] = {name: set() for name in APPS}
        self.answered: dict[str, set[str]] = {name: set() for name in APPS}
        self.newest: dict[str, str] = {}
        self.asked_to_crash = 0
        self.deaths = 0
        self.answers: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.up = asyncio.Event()
        self.over = False

    async def run(self) -> None:
        self.artifact = await self.agent.upload(PROGRAM)
        for name in APPS:
            await self._deploy(name)
        self.up.set()
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(self._ask_for_ever())
            group.create_task(self._act_until_the_end())

    async def _act_until_the_end(self) -> None:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            await asyncio.sleep(self.random.uniform(0.02, 0.4))
            action = self.random.choices(
                [self._deploy, self._crash, self._sleep, self._stop_a_task, self._die], [4, 3, 3, 2, 2]
            )[0]
            await action(self.random.choice(APPS))
        self.over = True

    async def _deploy(self, name: str) -> None:
        app = await self.agent.app(name)
        made = await self.agent.ask(
            "POST",
            f"/api/v1/apps/{app['id']}/deployments",
            json={
                "artifact_id": self.artifact,
                "idle_timeout_secs": 1,
                "stop_grace_secs": 2,
                "replicas": self.random.choice([1, 1, 2]),
            },
            expect=201,
        )
        self.acknowledged[name].add(made["id"])
        self.newest[name] = made["id"]

    async def _crash(self, name: str) -> None:
        self.asked_to_crash += 1
        await self.agent.get(name, "/crash")

    async def _sleep(self, name: str) -> None:
        await self.agent.api("POST", f"/api/v1/deployments/{self.newest[name]}/sleep")

    async def _stop_a_task(self, name: str) -> None:
        running = await self.agent.tasks(self.newest[name], "running")
        for task in running[:1]:
            await self.agent.ask("POST", f"/api/v1/tasks/{task['id']}/stop")

    async def _die(self, name: str) -> None:
        del name
        self.up.clear()
        self.agent.kill()
        self.deaths += 1
        await asyncio.sleep(self.random.uniform(0, 0.3))
        await asyncio.to_thread(self.agent.start)
        self.up.set()

    async def _ask_for_ever(self) -> None:
        while not self.over:
            await self.up.wait()
            name = self.random.choice(APPS)
            try:
                answer = await self.agent.get(name)
            except aiohttp.ClientError:
                continue  # the agent died under it, or sent half of what a crashed app had said
            self.answers[answer.status] += 1
            self._check(name, answer)
            await asyncio.sleep(0.005)

    def _check(self, name: str, answer: Answer) -> None:
        if answer.status == 200:
            app, deployment = answer.text.split()
            self.answered[name].add(deployment)  # it may answer before we have read that it was accepted
            if app != name:
                self.wrong.append(f"{name} was answered by {answer.text}")
        elif answer.status not in (502, 503):
            self.wrong.append(f"{name}: {answer.status} {answer.text[:200]}")


async def test_after_chaos_everything_is_true(agent: Agent) -> None:
    chaos = Chaos(agent)

    await chaos.run()

    told = f"seed {SEED}: {dict(chaos.answers)}, {chaos.deaths} deaths, {chaos.asked_to_crash} crashes"
    assert chaos.wrong == [], told
    assert all(chaos.answered[name] <= chaos.acknowledged[name] for name in APPS), told
    assert chaos.answers[200] > 20, told
    for name in APPS:
        settled = await agent.settled(chaos.newest[name])
        assert settled["state"] == "active", f"{told}: {name}: {settled['reason']}\n{agent.log()[-5000:]}"
        answer = await agent.until(
            lambda name=name: agent.get(name),  # type: ignore[misc]  # a default binds the loop's name
            lambda found: found.status == 200,
        )
        assert answer.text == f"{name} {chaos.newest[name]}", told
    for deployment_id in await _kept(agent):
        await agent.until_activity(deployment_id, "asleep", "failed", "cancelled", "stopped")
    await agent.until(agent.tasks_running_now, lambda pids: pids == [])
    for deployment_id in await _kept(agent):
        await agent.until(
            lambda key=deployment_id: agent.tasks(key, "starting", "running", "stopping"),  # type: ignore[misc]  # binds the loop's name
            lambda live: live == [],
        )
    agent.kill()
    _rows_are_true(agent.state, told)
    await until(lambda: processes_of(agent.state) == [])  # launchers without work end by themselves


async def _kept(agent: Agent) -> list[str]:
    """List the deployments that retention has kept."""
    found = await agent.ask("GET", "/api/v1/deployments?page_size=100")
    return [deployment["id"] for deployment in found["data"]]


def _rows_are_true(state: Path, told: str) -> None:
    """Every live row is a task made ahead: everything sleeps."""
    with sqlite3.connect(state / "paas.db") as database:
        rows = dict(database.execute("SELECT state, count(*) FROM tasks GROUP BY state"))
        illegal = database.execute(
            "SELECT count(*) FROM tasks WHERE (ended_at IS NULL) != (state = 'pending')"
        ).fetchone()
    database.close()
    assert set(rows) <= {"pending", "stopped", "failed"}, told
    assert illegal == (0,), told
