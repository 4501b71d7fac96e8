"""A pump copies until the last byte: what breaks off is gone on with, what hangs is not waited for."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from paas.core.errors import Unavailable
from paas.core.ids import TaskId
from paas.engine.log_pump import QUIET_SECS, LogPumps
from paas.log_copy import LogCopy
from tests.engine.fake_driver import FakeDriver, Machine
from tests.engine.jumping_loop import jump
from tests.engine.rig import until

TASK = TaskId("t-1")


class Telling(FakeDriver):
    """Tells lines; breaks off, or hangs, before each one that it is told to as often as it is told."""

    def __init__(
        self, lines: int, *, breaks_at: set[int], breaks_for: int = 1, hangs_at: int | None = None
    ) -> None:
        super().__init__(Machine())
        self.lines = lines
        self.breaks_at = dict.fromkeys(breaks_at, breaks_for)
        self.hangs_at = hangs_at
        self.asked = 0

    async def output(self, task_id: TaskId, after: str) -> AsyncGenerator[tuple[str, bytes], None]:
        assert task_id == TASK
        self.asked += 1
        for number in range(int(after or 0), self.lines):
            if self.breaks_at.get(number, 0) > 0:
                self.breaks_at[number] -= 1
                raise Unavailable("it broke off")
            if number == self.hangs_at:
                await asyncio.Event().wait()
            yield str(number + 1), b"line %d\n" % number


async def pump(folder: Path, driver: Telling) -> list[str]:
    async with asyncio.TaskGroup() as group:
        pumps = LogPumps(
            lambda task_id: LogCopy(folder / f"{task_id}.log", folder / f"{task_id}.place"), group
        )
        pumps.begin(driver, TASK)
        pumps.begin(driver, TASK)
        await pumps.finish(driver, TASK)
    return (folder / f"{TASK}.log").read_text().splitlines()


async def test_what_breaks_off_is_gone_on_with(tmp_path: Path) -> None:
    driver = Telling(9, breaks_at={0, 3, 4, 8})

    assert await pump(tmp_path, driver) == [f"line {number}" for number in range(9)]
    assert driver.asked == 5


async def test_a_second_pump_goes_on_where_the_first_was_killed(tmp_path: Path) -> None:
    await pump(tmp_path, Telling(3, breaks_at=set()))

    assert await pump(tmp_path, Telling(6, breaks_at={4})) == [f"line {number}" for number in range(6)]


async def test_the_end_is_copied_when_the_driver_is_back(tmp_path: Path) -> None:
    driver = Telling(3, breaks_at={2}, breaks_for=5)
    log = tmp_path / f"{TASK}.log"

    async with asyncio.TaskGroup() as group:
        pumping = group.create_task(pump(tmp_path, driver))
        await until(lambda: driver.breaks_at[2] < 5)  # time that passes before is taken for a hang
        while log.read_text().count("\n") < 3:
            jump(QUIET_SECS)
            await asyncio.sleep(0.01)

    assert pumping.result() == [f"line {number}" for number in range(3)]
    assert driver.asked > 4


async def test_output_that_hangs_does_not_keep_an_ended_task(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.TaskGroup() as group:
        pumping = group.create_task(pump(tmp_path, Telling(9, breaks_at=set(), hangs_at=4)))
        log = tmp_path / f"{TASK}.log"
        await until(lambda: log.exists() and log.read_text().count("\n") == 4)
        while not pumping.done():
            jump(QUIET_SECS)
            await asyncio.sleep(0.01)

    assert pumping.result() == [f"line {number}" for number in range(4)]
    assert "could not be copied" in caplog.text
