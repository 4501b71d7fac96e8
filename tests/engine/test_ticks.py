"""Ticks below the loop's own resolution."""

import asyncio

from paas.engine.ticks import ticking

EVERY_SECS = 0.0002
COUNT = 50
LIMIT_SECS = 5.0  # for a machine that is busy with other things


async def test_ticks_come_at_their_interval_and_not_at_once() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()

    async with asyncio.timeout(LIMIT_SECS), ticking(EVERY_SECS) as ticks:
        for _ in range(COUNT):
            await ticks.next()

    assert loop.time() - began >= EVERY_SECS * (COUNT - 1)
