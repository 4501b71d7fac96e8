"""What the agent costs when nothing happens: with no app, and with a thousand that sleep."""

import asyncio
import re
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.harness import Agent
from tests.system.programs import ON_DEMAND_EXIT

APPS = 1000
EACH_KIB = 1
# However many apps there are: pages of the database, both ways, and what was last read of 64 sleepers.
CACHES_KIB = 2 * 256 + 64 * 5
IDLE_AGENT_KIB = 55 * 1024
WATCHED_SECS = 5.0


@dataclass(frozen=True, slots=True)
class Rest:
    """An agent that was started and left alone."""

    resident_kib: int
    start_secs: float


async def test_a_thousand_sleeping_apps_cost_no_time_and_little_memory(agent: Agent) -> None:
    empty = await _started_anew(agent)
    await _make_sleeping_apps(agent)
    made_ticks = await _ticks_while_watched(agent)

    full = await _started_anew(agent)
    full_ticks = await _ticks_while_watched(agent)

    print(f"{empty=} {full=} ticks after making {made_ticks}, after a start {full_ticks}")
    assert empty.resident_kib < IDLE_AGENT_KIB
    assert full.resident_kib - empty.resident_kib < APPS * EACH_KIB + CACHES_KIB
    assert max(made_ticks, full_ticks) <= 2
    assert (await agent.get("app-1")).status == 200
    assert (await agent.get(f"app-{APPS - 1}")).status == 200


async def _make_sleeping_apps(agent: Agent) -> None:
    """Deploy with no replicas: born asleep, to be woken by traffic."""
    artifact = await agent.upload(ON_DEMAND_EXIT)
    numbers = iter(range(APPS))

    async def make() -> None:
        for number in numbers:
            app = await agent.ask("POST", "/api/v1/apps", json={"name": f"app-{number}"}, expect=201)
            await agent.ask(
                "POST",
                f"/api/v1/apps/{app['id']}/deployments",
                json={"artifact_id": artifact, "replicas": 0},
                expect=201,
            )

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(make())
    for page in range(1, APPS // 100 + 1):
        await agent.until(partial(_activities, agent, page), lambda found: found == {"asleep"})


async def _activities(agent: Agent, page: int) -> set[str]:
    listed = await agent.ask("GET", f"/api/v1/deployments?page_size=100&page={page}")
    return {found["activity"] for found in listed["data"]}


async def _started_anew(agent: Agent) -> Rest:
    """Measure a fresh start, once it is quiet: what an earlier life left to the allocator does not count."""
    agent.kill(signal.SIGTERM)
    began = time.monotonic()
    agent.start()
    start_secs = time.monotonic() - began
    await agent.until(lambda: _ticks_in(agent, 0.5), lambda ticks: ticks == 0)
    status = Path(f"/proc/{agent.pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return Rest(int(found[1]), start_secs)


async def _ticks_while_watched(agent: Agent) -> int:
    """Count the processor time, in hundredths of a second, of a while in which nobody asks anything."""
    await agent.until(lambda: _ticks_in(agent, 0.5), lambda ticks: ticks == 0)
    return await _ticks_in(agent, WATCHED_SECS)


async def _ticks_in(agent: Agent, secs: float) -> int:
    before = _ticks(agent)
    await asyncio.sleep(secs)
    return _ticks(agent) - before


def _ticks(agent: Agent) -> int:
    """Read utime and stime (proc(5)), whose unit is a clock tick."""
    fields = Path(f"/proc/{agent.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
