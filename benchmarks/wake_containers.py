"""How long a sleeping container's first request takes, over what the engine itself needs to start it.

    python -m benchmarks.wake_containers --rounds 20

Each round does everything once, one right after the other, with containers of one image and the same limits:
the engine alone (start, then ask until it answers), our proxy (stopped; frozen), and how people do it today:
start and one look at the container before the request goes on, which is the least that Sablier does, and
systemd's socket activation with systemd-socket-proxyd. Then a deploy of the present image, over create and
start by hand. Connect to first byte; what counts is the difference within a round.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import load, p50_p95, table
from benchmarks.wake import AMPLE, FRESH, HOST, PATIENCE_SECS, WARM_REQUESTS, ask, first_byte
from tests.containers import Hull, hull
from tests.harness import Json

SERVE = "exec httpd -f -p $PORT -h /www"
PORT = 8080
REMOVED_SECS = 0.5  # the kernel takes a removed container's network apart for a while after
FREEZE_AFTER_SECS = 1
TRY_EVERY_SECS = 0.001
PROXYD = Path("/lib/systemd/systemd-socket-proxyd")
CAN_ACTIVATE = PROXYD.exists() and shutil.which("systemd-socket-activate") is not None
# What a unit's service does behind a socket: start the container, wait for it, hand over to the proxy.
ACTIVATED = """#!/bin/sh
docker start {container} >/dev/null
until curl -sf -o /dev/null http://{host}:{port}/; do sleep 0.01; done
exec {proxyd} {host}:{port}
"""
_numbers = itertools.count()


@dataclass(slots=True)
class Figures:
    """Milliseconds of each way, a value a round."""

    own: list[float] = field(default_factory=list)
    stopped: list[float] = field(default_factory=list)
    frozen: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    looked: list[float] = field(default_factory=list)
    activated: list[float] = field(default_factory=list)
    created: list[float] = field(default_factory=list)
    deployed: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bench:
    ship: Hull
    stopped: Json  # a deployment
    figures: Figures
    host: str = "stopped-default.localhost"
    path: str = "/"

    @property
    def proxy(self) -> tuple[str, int]:
        return (HOST, int(self.ship.agent.proxy_url.rpartition(":")[2]))

    async def compare(self) -> Json:
        """Start the container by hand, then wake it; what it was made of."""
        await self._until_asleep()
        pattern = self._pattern()
        self.figures.own.append(self._started_by_hand(pattern))
        self.figures.stopped.append(ask(self.proxy, self.host, self.path))
        return pattern

    async def round(self, frozen: Json) -> None:
        figures = self.figures
        pattern = await self.compare()
        figures.warm.append(statistics.median(ask(self.proxy, self.host) for _ in range(WARM_REQUESTS)))
        figures.looked.append(self._started_by_hand(pattern, look=True))
        if CAN_ACTIVATE:
            figures.activated.append(self._activated(pattern))
        await self.ship.agent.until_activity(frozen["id"], "frozen")
        figures.frozen.append(ask(self.proxy, "frozen-default.localhost"))
        await asyncio.sleep(REMOVED_SECS)
        figures.created.append(self._started_by_hand(pattern, create=True))
        await asyncio.sleep(REMOVED_SECS)
        figures.deployed.append(await self._deployed())

    async def _until_asleep(self) -> None:
        agent = self.ship.agent
        await agent.ask("POST", f"/api/v1/deployments/{self.stopped['id']}/sleep")
        await agent.until_asleep(self.stopped["id"])

        async def states() -> list[str]:
            return [each["State"] for each in self.ship.containers() if self._is_of(each, self.stopped)]

        await agent.until(states, lambda found: found == ["created"])
        await asyncio.sleep(0.05)  # until the agent is quiet again

    def _is_of(self, container: Json, deployment: Json) -> bool:
        return bool(container["Labels"]["paas.deployment"] == deployment["id"])

    def _pattern(self) -> Json:
        """Describe the container that the agent has made ahead, for one of our own."""
        (ahead,) = [each for each in self.ship.containers() if self._is_of(each, self.stopped)]
        found = self.ship.engine("GET", f"/containers/{ahead['Id']}/json")
        settings = dict(found["Config"], Labels={}, Hostname="")
        networks: Json = {name: {} for name in found["NetworkSettings"]["Networks"]}
        settings["NetworkingConfig"] = {"EndpointsConfig": networks}
        return {**settings, "HostConfig": found["HostConfig"]}

    @contextlib.contextmanager
    def _container(self, pattern: Json) -> Iterator[str]:
        name = f"paas-bench-{os.getpid()}-{next(_numbers)}"
        self.ship.engine("POST", f"/containers/create?name={name}", pattern)
        try:
            yield name
        finally:
            self.ship.engine("DELETE", f"/containers/{name}?force=1")

    def _started_by_hand(self, pattern: Json, *, look: bool = False, create: bool = False) -> float:
        """Start a container by the engine's API and ask it at its own address until it answers."""
        began = time.perf_counter()
        with self._container(pattern) as name:
            if not create:
                began = time.perf_counter()
            self.ship.engine("POST", f"/containers/{name}/start")
            found = self.ship.engine("GET", f"/containers/{name}/json")
            if look:
                found = self.ship.engine("GET", f"/containers/{name}/json")
            (network,) = found["NetworkSettings"]["Networks"].values()
            address = (network["IPAddress"], _port(pattern))
            _until(lambda: _answers(address, "own", self.path))
            return (time.perf_counter() - began) * 1000

    def _activated(self, pattern: Json) -> float:
        """Let systemd's tools start a container for the first connection to a socket."""
        published = _free_port()
        limits = {**pattern["HostConfig"], "PortBindings": {f"{PORT}/tcp": [_at(published)]}}
        open_to_all = {**pattern, "HostConfig": limits, "ExposedPorts": {f"{PORT}/tcp": {}}}
        with tempfile.TemporaryDirectory() as folder, self._container(open_to_all) as name:
            script = Path(folder, "activated")
            script.write_text(
                ACTIVATED.format(
                    container=name,
                    host=HOST,
                    port=published,
                    proxyd=PROXYD,
                )
            )
            script.chmod(0o755)
            entrance = _free_port()
            environment = {**os.environ, "DOCKER_HOST": f"unix://{self.ship.socket}"}
            waiting = subprocess.Popen(
                ["systemd-socket-activate", f"--listen={HOST}:{entrance}", "-E", "DOCKER_HOST", str(script)],
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            try:
                _until(lambda: _is_listening(entrance))
                return ask((HOST, entrance), "activated")
            finally:
                waiting.kill()
                waiting.wait()

    async def _deployed(self) -> float:
        """Deploy a new version of the present image, and ask its own host until it answers."""
        agent = self.ship.agent
        app = await agent.app("deployed")
        wanted = {"image": self.stopped["spec"]["image"], "resources": AMPLE}
        began = time.perf_counter()
        made = await agent.ask("POST", f"/api/v1/apps/{app['id']}/deployments", json=wanted, expect=201)
        host = made["preview_url"].partition("//")[2].partition(":")[0]
        _until(lambda: _answers(self.proxy, host))
        took = (time.perf_counter() - began) * 1000
        await agent.ask("POST", f"/api/v1/deployments/{made['id']}/cancel")
        return took


def main() -> None:
    options = argparse.ArgumentParser(
        description="Measure wakes of containers against the engine's own start."
    )
    options.add_argument("--rounds", type=int, default=20)
    rounds = options.parse_args().rounds
    print(f"Load before: {load()}\n")
    asyncio.run(_measure(rounds))
    print(f"Load after: {load()}")


async def _measure(rounds: int) -> None:
    async with hull(environment=FRESH) as ship:
        image = ship.image(SERVE, env={"PORT": str(PORT)})
        stopped = await ship.deploy("stopped", image, resources=AMPLE)
        idle = {"freeze_after_secs": FREEZE_AFTER_SECS}
        frozen = await ship.deploy("frozen", image, resources=AMPLE, idle=idle)
        await Bench(ship, stopped, Figures()).round(frozen)  # to warm up
        bench = Bench(ship, stopped, Figures())
        for _ in range(rounds):
            await bench.round(frozen)
        _print(bench.figures, rounds)


def _print(figures: Figures, rounds: int) -> None:
    def over(values: list[float], base: list[float]) -> str:
        return p50_p95([one - other for one, other in zip(values, base, strict=True)])

    rows = [
        ("the engine alone: start, until it answers", p50_p95(figures.own), ""),
        ("stopped, woken through our proxy", p50_p95(figures.stopped), over(figures.stopped, figures.own)),
        (
            "start and one more look (Sablier's least)",
            p50_p95(figures.looked),
            over(figures.looked, figures.own),
        ),
    ]
    if figures.activated:
        rows.append(
            (
                "socket activation and systemd-socket-proxyd",
                p50_p95(figures.activated),
                over(figures.activated, figures.own),
            )
        )
    columns = ("way", "first byte", "over the engine alone, paired")
    print(table(f"Wake of a container, ms, p50 / p95 of {rounds} rounds", columns, rows))
    rows = [
        ("warm, through our proxy", p50_p95(figures.warm), ""),
        ("frozen, woken through our proxy", p50_p95(figures.frozen), over(figures.frozen, figures.warm)),
    ]
    print(table("Frozen", ("way", "first byte", "over a warm request, paired"), rows))
    rows = [
        ("create and start by hand, until it answers", p50_p95(figures.created), ""),
        (
            "POST of a deployment until its first 200",
            p50_p95(figures.deployed),
            over(figures.deployed, figures.created),
        ),
    ]
    print(table("Deploy of a present image", ("way", "first byte", "over create and start, paired"), rows))


def _port(pattern: Json) -> int:
    """Say where a container listens: at the one port that its image exposes, as ours at PORT."""
    (port,) = pattern.get("ExposedPorts") or [f"{PORT}/tcp"]
    return int(port.partition("/")[0])


def _answers(address: tuple[str, int], host: str, path: str = "/") -> bool:
    try:
        first_byte(socket.create_connection(address, PATIENCE_SECS), host, path)
    except (OSError, RuntimeError):
        return False
    return True


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + PATIENCE_SECS
    while not holds():
        if time.perf_counter() > deadline:
            raise TimeoutError("it took too long")
        time.sleep(TRY_EVERY_SECS)


def _is_listening(port: int) -> bool:
    """Look without connecting: a connection would be the one that activates."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    return wanted in Path("/proc/net/tcp").read_text()


def _at(port: int) -> Json:
    return {"HostIp": HOST, "HostPort": str(port)}


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as found:
        return int(found.getsockname()[1])


if __name__ == "__main__":
    main()
