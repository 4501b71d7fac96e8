"""What containers write is read through the agent like what native programs write, whoever dies meanwhile."""

import asyncio
import functools
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.containers import Hull, hull
from tests.waiting import until

LINES = 2000
# Bursts on both streams, then it serves, so that it becomes ready at once and writes meanwhile.
NUMBERED = f"""httpd -p $PORT -h /www
i=0
while [ $i -lt {LINES} ]; do
    i=$((i+1)); echo out $i; echo err $i >&2
    [ $((i % 100)) -eq 0 ] && sleep 0.2
done
trap 'echo bye; exit 0' TERM
while :; do sleep 0.1; done"""


@pytest.fixture
async def ship() -> AsyncIterator[Hull]:
    async with hull() as ship:
        yield ship


def has_lines(log: Path, count: int) -> bool:
    return log.exists() and log.read_bytes().count(b"out ") > count


def numbers(lines: list[str], stream: str) -> list[int]:
    return [int(match[1]) for line in lines if (match := re.fullmatch(rf"{stream} (\d+)", line))]


async def test_an_agent_that_is_killed_again_and_again_loses_and_repeats_no_line(ship: Hull) -> None:
    chance = random.Random(5)
    deployed = await ship.deploy("talker", ship.image(NUMBERED), resources={"cpu": "1"})

    (task,) = await ship.agent.tasks(deployed["id"], "running")
    log = ship.agent.state / "logs" / f"{task['id']}.log"
    for quarter in range(4):
        copied = int((quarter + chance.random()) / 4 * LINES)
        await until(functools.partial(has_lines, log, copied))
        ship.agent.kill()
        await asyncio.to_thread(ship.agent.start)

    async def all_lines() -> list[str]:
        found = await ship.agent.ask("GET", f"/api/v1/tasks/{task['id']}/logs?tail=10000")
        return [entry["message"] for entry in found]

    found = await ship.agent.until(all_lines, lambda found: len(found) >= 2 * LINES, limit=60)

    assert numbers(found, "out") == list(range(1, LINES + 1))
    assert numbers(found, "err") == list(range(1, LINES + 1))


async def test_the_last_words_of_a_container_are_kept(ship: Hull) -> None:
    script = "trap 'echo bye; exit 0' TERM; httpd -p $PORT -h /www; while :; do sleep 0.1; done"
    deployed = await ship.asleep("talker", ship.image(script))

    assert await ship.agent.logs(deployed["id"]) == ["bye"]
