"""How long a frozen app's first request takes, over a warm one right after it."""

import asyncio
import http.client
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import p50_p95, table
from tests.harness import Agent

FREEZE_AFTER_SECS = 1
FROZEN_AT_LEAST_SECS = 0.2
WARM_REQUESTS = 5
AMPLE = {"cpu": "2", "memory": "512Mi"}  # as in wake.py


@dataclass(slots=True)
class _Frozen:
    name: str
    deployment_id: str
    host: str
    frozen_ms: list[float] = field(default_factory=list)
    warm_ms: list[float] = field(default_factory=list)

    def over_ms(self) -> list[float]:
        return [frozen - warm for frozen, warm in zip(self.frozen_ms, self.warm_ms, strict=True)]


async def print_frozen(agent: Agent, programs: dict[str, Path], rounds: int) -> None:
    """Leave each program alone until it is frozen, ask it, and ask it again while it is warm."""
    known = []
    for name, file in programs.items():
        app = f"frozen-{file.stem}"
        idle = {"freeze_after_secs": FREEZE_AFTER_SECS, "stop_after_secs": 600}
        settled = await agent.deploy(app, file, resources=AMPLE, idle=idle)
        known.append(_Frozen(name, settled["id"], f"{app}-default.localhost"))
    for number in range(-2, rounds):  # two to warm up
        for each in known:
            await agent.until_activity(each.deployment_id, "frozen")
        await asyncio.sleep(FROZEN_AT_LEAST_SECS)  # until the agent is quiet again
        for each in known:
            _round(agent, each, counts=number >= 0)
    rows = [
        (each.name, p50_p95(each.frozen_ms), p50_p95(each.warm_ms), p50_p95(each.over_ms())) for each in known
    ]
    columns = ("program", "frozen wake", "warm request", "over warm, paired")
    print(table(f"Wake of a frozen program, ms, p50 / p95 of {rounds} rounds", columns, rows))


def _round(agent: Agent, each: _Frozen, *, counts: bool) -> None:
    frozen_ms = _ask(agent, each.host)
    warm_ms = statistics.median(_ask(agent, each.host) for _ in range(WARM_REQUESTS))
    if counts:
        each.frozen_ms.append(frozen_ms)
        each.warm_ms.append(warm_ms)


def _ask(agent: Agent, host: str) -> float:
    """Count the milliseconds from the connect to the head of a 200."""
    proxy = http.client.HTTPConnection(agent.proxy_url.removeprefix("http://"))
    began = time.perf_counter()
    proxy.request("GET", "/", headers={"Host": host, "Connection": "close"})
    answer = proxy.getresponse()
    took_ms = (time.perf_counter() - began) * 1000
    if answer.status != http.HTTPStatus.OK:
        raise RuntimeError(answer.read())
    proxy.close()
    return took_ms
