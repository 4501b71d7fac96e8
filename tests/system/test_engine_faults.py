"""The container engine is away, killed, hung, or has things removed: what runs goes on, and all heals."""

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Self

import aiohttp
import pytest

from tests.containers import Hull, hull
from tests.docker_engine import ask, ask_json
from tests.harness import Agent, Json
from tests.system.private_engine import PrivateEngine, private_engine
from tests.system.programs import ON_DEMAND_EXIT
from tests.waiting import until

CLIENTS = 50
PATIENCE_SECS = 4.0
ENGINE_WAITS_SECS = 10.0  # for an answer of the engine
TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def shared_engine() -> Iterator[PrivateEngine]:
    with private_engine() as engine:
        yield engine


@pytest.fixture
def engine(shared_engine: PrivateEngine) -> PrivateEngine:
    shared_engine.restore()
    return shared_engine


@pytest.fixture
def absent_engine() -> Iterator[PrivateEngine]:
    with private_engine(started=False) as engine:
        yield engine


@pytest.fixture
def restoring_engine() -> Iterator[PrivateEngine]:
    with private_engine(live_restore=True) as engine:
        yield engine


@pytest.fixture
async def ship(engine: PrivateEngine) -> AsyncIterator[Hull]:
    async with aboard(engine) as ship:
        yield ship


@contextlib.asynccontextmanager
async def aboard(engine: PrivateEngine) -> AsyncIterator[Hull]:
    """Run an agent on this engine whose requests wait for a wake for some seconds only."""
    async with hull(socket=engine.socket) as ship:
        ship.agent.kill()
        with (ship.agent.state / "config.toml").open("a") as config:
            config.write(f"wake_patience_secs = {PATIENCE_SECS}\n")
        ship.agent.start()
        yield ship


class Crowd:
    """Clients that ask an app again and again, and count what they get."""

    def __init__(self, agent: Agent, name: str) -> None:
        self.answers: Counter[str] = Counter()
        self._agent = agent
        self._name = name
        self._leaving = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        for _ in range(CLIENTS):
            self._group.create_task(self._ask_on())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._leaving.set()
        await self._group.__aexit__(None, None, None)

    async def until_answered(self, status: int, count: int = CLIENTS) -> None:
        """Wait for that many more answers of this status."""
        wanted = self.answers[str(status)] + count
        await until(lambda: self.answers[str(status)] >= wanted, limit_s=60)

    async def _ask_on(self) -> None:
        while not self._leaving.is_set():
            try:
                answer = str((await self._agent.get(self._name)).status)
            except aiohttp.ClientError:
                answer = "cut"  # in the middle of an answer, when its app was killed
            self.answers[answer] += 1
            await asyncio.sleep(0.02)


def cpu_secs(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SEC


async def cpu_share(agent: Agent, secs: float) -> float:
    """Measure how busy the agent is while nothing is asked of it."""
    before, began = cpu_secs(agent.pid), time.monotonic()
    await until(lambda: time.monotonic() > began + secs, limit_s=secs + 10)
    return (cpu_secs(agent.pid) - before) / secs


async def checks(agent: Agent) -> dict[str, Json]:
    found = await agent.ask("GET", "/api/v1/doctor")
    return {check["name"]: check for check in found["checks"]}


async def until_serves(agent: Agent, name: str) -> None:
    await agent.until(lambda: agent.get(name), lambda answer: answer.status == 200, limit=60)


async def refused_in_time(agent: Agent, name: str) -> str:
    """Ask an app that cannot be woken; gives the reason that is told."""
    began = time.monotonic()
    answer = await agent.get(name)
    assert answer.status == 503, answer
    assert time.monotonic() - began < ENGINE_WAITS_SECS
    return answer.headers["X-Error-Detail"]


def foreign_container(engine: PrivateEngine, image: str, **labels: str) -> str:
    """Run a container that is not the agent's."""
    body = {
        "Image": image,
        "Cmd": ["/bin/sleep", "1000"],
        "Labels": labels,
        "HostConfig": {"NetworkMode": "none"},
    }
    made = ask_json(engine.socket, "POST", "/containers/create", body)
    ask(engine.socket, "POST", f"/containers/{made['Id']}/start")
    return str(made["Id"])


async def test_without_an_engine_native_apps_work_and_the_remedy_is_told(
    absent_engine: PrivateEngine,
) -> None:
    async with aboard(absent_engine) as ship:
        agent = ship.agent
        await agent.deploy("native", ON_DEMAND_EXIT)
        failed = await agent.settled((await ship.begin("web", "nginx"))["id"])

        assert (await agent.get("native")).status == 200
        assert failed["status"] == "failed"
        assert "no Docker engine answers" in failed["reason"]
        health = await agent.api("GET", "/health")
        assert health.status == 503
        assert any("engine" in problem for problem in health.json["problems"])
        found = (await checks(agent))["container engine"]
        assert not found["ok"]
        assert found["fix"] in ("apt-get install docker.io", "systemctl start docker")

        await asyncio.to_thread(absent_engine.start)

        await ship.deploy("web", ship.image(env={"TEXT": "hello"}))
        assert (await agent.get("web")).status == 200
        await agent.until(lambda: agent.api("GET", "/health"), lambda answer: answer.status == 200)
        assert (await checks(agent))["container engine"]["ok"]


async def test_an_agent_that_starts_before_the_engine_wakes_apps_once_it_is_there(
    engine: PrivateEngine, ship: Hull
) -> None:
    await ship.asleep("web", ship.image(env={"TEXT": "hello"}))
    await ship.agent.deploy("native", ON_DEMAND_EXIT)
    ship.agent.kill()
    await asyncio.to_thread(engine.kill)

    ship.agent.start()

    assert (await ship.agent.get("native")).status == 200
    assert "engine" in await refused_in_time(ship.agent, "web")
    await asyncio.to_thread(engine.start)
    await until_serves(ship.agent, "web")


async def test_a_killed_engine_with_live_restore_takes_no_traffic_along(
    restoring_engine: PrivateEngine,
) -> None:
    engine = restoring_engine
    async with aboard(engine) as ship:
        image = ship.image(env={"TEXT": "hello"})
        await ship.asleep("sleeper", image)
        await ship.deploy("web", image)
        (before,) = ship.containers(running_only=True)

        async with Crowd(ship.agent, "web") as crowd:
            await crowd.until_answered(200)
            await asyncio.to_thread(engine.kill)
            await crowd.until_answered(200, 5 * CLIENTS)
            assert "engine" in await refused_in_time(ship.agent, "sleeper")
        assert await cpu_share(ship.agent, 5) < 0.05
        async with Crowd(ship.agent, "web") as again:
            await again.until_answered(200)
            await asyncio.to_thread(engine.start)
            await again.until_answered(200, 5 * CLIENTS)

        assert set(crowd.answers) == {"200"}
        assert set(again.answers) == {"200"}
        await until_serves(ship.agent, "sleeper")
        assert before["Id"] in [each["Id"] for each in ship.containers(running_only=True)]


async def test_containers_that_die_with_the_engine_are_replaced_when_it_is_back(
    engine: PrivateEngine, ship: Hull
) -> None:
    deployed = await ship.deploy("web", ship.image(env={"TEXT": "hello"}))

    async with Crowd(ship.agent, "web") as crowd:
        await crowd.until_answered(200)
        await asyncio.to_thread(engine.kill)
        await asyncio.to_thread(engine.start)
        await crowd.until_answered(200)
        await until_serves(ship.agent, "web")
        await crowd.until_answered(200, 5 * CLIENTS)

    assert set(crowd.answers) <= {"200", "502", "503", "cut"}
    assert len(ship.containers(running_only=True)) == 1
    assert len(await ship.agent.tasks(deployed["id"], "running")) == 1


async def test_a_hung_engine_takes_no_traffic_along_and_wakes_are_refused_in_time(
    engine: PrivateEngine, ship: Hull
) -> None:
    image = ship.image(env={"TEXT": "hello"})
    await ship.asleep("sleeper", image)
    await ship.deploy("web", image)

    async with Crowd(ship.agent, "web") as crowd:
        await crowd.until_answered(200)
        engine.hang()
        await crowd.until_answered(200, 5 * CLIENTS)
        await refused_in_time(ship.agent, "sleeper")
    assert await cpu_share(ship.agent, 5) < 0.05
    found = (await checks(ship.agent))["container engine"]
    engine.go_on()

    assert (found["ok"], found["fix"]) == (False, "systemctl restart docker")
    assert set(crowd.answers) == {"200"}
    await until_serves(ship.agent, "sleeper")
    assert (await ship.agent.get("web")).status == 200


@pytest.mark.parametrize("fault", ["kill", "remove", "prune"])
async def test_what_is_killed_removed_or_pruned_under_load_comes_back(
    engine: PrivateEngine, ship: Hull, fault: str
) -> None:
    image = ship.image(env={"TEXT": "hello"})
    foreign_container(engine, image)  # keeps the image from being pruned: no registry has it
    await ship.asleep("sleeper", image)
    await ship.deploy("web", image)

    async with Crowd(ship.agent, "web") as crowd:
        await crowd.until_answered(200)
        for _ in range(3):
            await asyncio.to_thread(do_harm, ship, fault)
            await crowd.until_answered(200, 3 * CLIENTS)

    assert set(crowd.answers) <= {"200", "502", "503", "cut"}
    await until_serves(ship.agent, "sleeper")
    await until_serves(ship.agent, "web")


def do_harm(ship: Hull, fault: str) -> None:
    match fault:
        case "kill":
            for each in ship.containers(running_only=True):
                with contextlib.suppress(ValueError):
                    ask(ship.socket, "POST", f"/containers/{each['Id']}/kill")
        case "remove":
            for each in ship.containers():
                with contextlib.suppress(ValueError):
                    ask(ship.socket, "DELETE", f"/containers/{each['Id']}?force=1")
        case _:  # docker system prune -af, after a stop of everything
            for each in ship.containers(running_only=True):
                with contextlib.suppress(ValueError):
                    ask(ship.socket, "POST", f"/containers/{each['Id']}/kill")
            for what in ("containers", "networks"):
                ask(ship.socket, "POST", f"/{what}/prune")
            ask(ship.socket, "POST", '/images/prune?filters={"dangling":["false"]}')


async def test_containers_of_others_are_left_alone(engine: PrivateEngine, ship: Hull) -> None:
    image = ship.image(env={"TEXT": "hello"})
    foreign_container(engine, image)
    foreign_container(engine, image, **{"paas.agent": "another", "paas.task": "t-1"})
    others = {each["Id"] for each in ask_json(engine.socket, "GET", "/containers/json")}
    await ship.deploy("web", image)
    ship.agent.kill()
    ship.agent.start()
    app = await ship.agent.app("web")
    await ship.agent.ask("DELETE", f"/api/v1/apps/{app['id']}", expect=204)

    await until(lambda: not ship.containers())

    assert {each["Id"] for each in ask_json(engine.socket, "GET", "/containers/json")} == others


async def test_a_hung_engine_does_not_hold_up_the_start_of_the_agent(
    engine: PrivateEngine, ship: Hull
) -> None:
    await ship.asleep("web", ship.image(env={"TEXT": "hello"}))
    await ship.agent.deploy("native", ON_DEMAND_EXIT)
    usual_secs = await secs_to_start_anew(ship.agent)
    engine.hang()

    took_secs = await secs_to_start_anew(ship.agent)
    await refused_in_time(ship.agent, "web")
    engine.go_on()

    assert took_secs < usual_secs + ENGINE_WAITS_SECS - 2
    await until_serves(ship.agent, "web")


async def secs_to_start_anew(agent: Agent) -> float:
    """Kill the agent; gives how long it is until a native app answers again."""
    agent.kill()
    began = time.monotonic()
    await asyncio.to_thread(agent.start)
    assert (await agent.get("native")).status == 200
    return time.monotonic() - began
