"""How long projects of the registries take to wake, over their own start.

    python -m benchmarks.wake_projects --rounds 15

Each project of tests/real_projects.py is fetched, built and deployed by a real agent. In each round, one
right after the other: what its build made is started by hand until it answers, and the agent's proxy is
asked for it while it sleeps there. The one with a Dockerfile is measured where DOCKER_HOST names an engine;
its container is started by the engine's API.
"""

import argparse
import asyncio
import contextlib
import os
import shlex
import statistics
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import load, p50_p95, percentile, table
from benchmarks.wake import AMPLE, FRESH, ask, start_by_hand, until_prepared
from benchmarks.wake_containers import Bench, Figures
from tests.containers import hull
from tests.docker_engine import engine_socket
from tests.harness import Agent, Json, running
from tests.python_image import python_image
from tests.real_projects import DOCKERFILE_PROJECT, PROJECTS, SETTINGS, Project, built, packed


@dataclass(slots=True, kw_only=True)
class Measured:
    name: str
    own_ms: list[float] = field(default_factory=list)
    wake_ms: list[float] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Deployed(Measured):
    project: Project
    deployment_id: str
    folder: Path  # of the program, as its build made it

    @property
    def command(self) -> list[str]:
        """The same command as the agent's, in the same folder."""
        lines = (self.folder / "Procfile").read_text().splitlines()
        (web,) = (line.partition(":")[2].strip() for line in lines if line.startswith("web:"))
        return ["/bin/sh", "-c", f"cd {shlex.quote(str(self.folder))} && {web}"]


def main() -> None:
    options = argparse.ArgumentParser(description="Measure wakes of real projects against their own starts.")
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--only", help="only projects whose name has this word")
    arguments = options.parse_args()
    print(f"Load before: {load()}\n")
    asyncio.run(_measure(arguments.rounds, arguments.only))
    print(f"Load after: {load()}")


async def _measure(rounds: int, only: str | None) -> None:
    measured: list[Measured] = []
    if native := [each for each in PROJECTS if not only or only in each.name]:
        async with running(settings=SETTINGS) as agent:
            deployed = [await _deploy(agent, each) for each in native]
            for number in range(-2, rounds):  # two to warm up
                for each in deployed:
                    await _round(agent, each, counts=number >= 0)
        measured += deployed
    if "DOCKER_HOST" in os.environ and (not only or only in DOCKERFILE_PROJECT.name):
        measured.append(await _measure_container(DOCKERFILE_PROJECT, rounds))
    columns = ("project", "own start", "wake", "over, paired", "wake / own start, paired")
    print(table(f"Wake, ms, p50 / p95 of {rounds} interleaved rounds", columns, map(_row, measured)))


async def _measure_container(project: Project, rounds: int) -> Measured:
    async with contextlib.AsyncExitStack() as ready:
        source = await ready.enter_async_context(_fetched(project))
        ready.enter_context(python_image(engine_socket(), source / "requirements.txt"))
        ship = await ready.enter_async_context(hull(environment=FRESH))
        settled = await _settled(ship.agent, project, source)
        host = f"{project.name}-default.localhost"
        await Bench(ship, settled, Figures(), host, project.path).compare()  # to warm up
        bench = Bench(ship, settled, Figures(), host, project.path)
        for _ in range(rounds):
            await bench.compare()
    return Measured(name=project.name, own_ms=bench.figures.own, wake_ms=bench.figures.stopped)


def _row(each: Measured) -> tuple[str, ...]:
    pairs = list(zip(each.wake_ms, each.own_ms, strict=True))
    ratio = statistics.median(wake / own for wake, own in pairs)
    over = percentile([wake - own for wake, own in pairs], 0.5)
    return each.name, p50_p95(each.own_ms), p50_p95(each.wake_ms), f"{over:.1f}", f"{ratio:.3f}"


async def _deploy(agent: Agent, project: Project) -> Deployed:
    known = set((agent.state / "programs").glob("*/Procfile"))
    async with _fetched(project) as source:
        settled = await _settled(agent, project, source)
    (procfile,) = set((agent.state / "programs").glob("*/Procfile")) - known
    return Deployed(name=project.name, project=project, deployment_id=settled["id"], folder=procfile.parent)


@contextlib.asynccontextmanager
async def _fetched(project: Project) -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="paas-wake-") as folder:
        yield await asyncio.to_thread(project.fetch, Path(folder))


async def _settled(agent: Agent, project: Project, source: Path) -> Json:
    """Build and deploy a project, and wait until it runs."""
    spec = {"default_deployment_spec": {"resources": AMPLE}}
    app = await agent.app(project.name)
    await agent.ask("PUT", f"/api/v1/apps/{app['id']}", json=spec)
    build = await built(agent, project, packed(source))
    settled = await agent.settled(build["deployment_id"])
    if settled["status"] != "running":
        raise RuntimeError(f"{project.name} does not run: {settled['reason']}")
    return settled


async def _round(agent: Agent, each: Deployed, *, counts: bool) -> None:
    await until_prepared(agent, each.deployment_id)
    path = each.project.path
    own_ms = start_by_hand(each.command, agent.state, path=path)
    proxy = ("127.0.0.1", int(agent.proxy_url.rpartition(":")[2]))
    wake_ms = ask(proxy, f"{each.project.name}-default.localhost", path)
    if counts:
        each.own_ms.append(own_ms)
        each.wake_ms.append(wake_ms)


if __name__ == "__main__":
    main()
