"""Sleeps below the loop's own resolution."""

import asyncio

from paas.engine.fine_timer import FineTimer

PAUSE_SECS = 0.0002
COUNT = 50
LIMIT_SECS = 5.0  # for a machine that is busy with other things


async def test_sleeps_last_as_long_as_asked_and_do_not_return_at_once() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()

    async with asyncio.timeout(LIMIT_SECS), FineTimer() as timer:
        for _ in range(COUNT):
            await timer.sleep(PAUSE_SECS)

    assert loop.time() - began >= PAUSE_SECS * COUNT


async def test_several_sleep_at_once_and_one_of_them_may_be_cancelled() -> None:
    async with asyncio.timeout(LIMIT_SECS), FineTimer() as timer, asyncio.TaskGroup() as group:
        first, *others = [group.create_task(timer.sleep(PAUSE_SECS)) for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(*others)
        await timer.sleep(PAUSE_SECS)

    assert first.cancelled()
