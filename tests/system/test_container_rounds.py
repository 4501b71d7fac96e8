"""Deploy, sleep, wake, again and again: nothing is left over. PAAS_TEST_ROUNDS says how often."""

import asyncio
import os
from pathlib import Path

from tests.containers import Hull, agent_id, hull

ROUNDS = int(os.environ.get("PAAS_TEST_ROUNDS", "6"))
APPS = 5
SPARE_DESCRIPTORS = 16  # connections that are open at the moment; 500 rounds were seen to need 8


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - iterdir gives no length


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def networks(ship: Hull) -> int:
    mark = '{"label":["paas.agent=' + agent_id(ship.agent) + '"]}'
    return len(ship.engine("GET", f"/networks?filters={mark}"))


async def one_round(ship: Hull, name: str, image: str) -> None:
    deployed = await ship.deploy(name, image)
    await ship.agent.ask("POST", f"/api/v1/deployments/{deployed['id']}/sleep")
    await ship.agent.until_asleep(deployed["id"])
    answer = await ship.agent.get(name)
    assert answer.status == 200, f"{answer}\n{ship.agent.log()[-4000:]}"


async def rounds(ship: Hull, name: str, image: str, count: int) -> None:
    for _ in range(count):
        await one_round(ship, name, image)


async def test_nothing_is_left_over_after_many_rounds() -> None:
    async with hull() as ship:
        image = ship.image(env={"TEXT": "hello"})
        names = [f"app{number}" for number in range(APPS)]
        for name in names:
            await one_round(ship, name, image)
        open_before, used_before = descriptors(ship.agent.pid), resident_bytes(ship.agent.pid)

        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(rounds(ship, name, image, max(1, ROUNDS // APPS)))

        async def alive() -> int:
            return len(ship.containers())

        assert await ship.agent.until(alive, lambda count: count == APPS) == APPS
        assert networks(ship) == 1
        assert descriptors(ship.agent.pid) <= open_before + SPARE_DESCRIPTORS
        assert resident_bytes(ship.agent.pid) - used_before < 64 * 1024**2
