"""An engine that goes away, comes back or hangs; each test has one of its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from paas.core.errors import Unavailable
from paas.core.ids import new_task_id
from tests.contract.docker_rig import DockerRig
from tests.docker_engine import hang_engine, kill_engine, new_run, resume_engine, start_engine, stop_engine
from tests.drivers.docker_steps import until_hinted
from tests.requirements import require_root
from tests.waiting import until

GRACE = timedelta(seconds=5)
Answer = TypeVar("Answer")


@pytest.fixture
def folder() -> Iterator[Path]:
    require_root()
    folder = new_run()
    yield folder
    stop_engine(folder)


@pytest.fixture
def own_rig(folder: Path, open_root: Path) -> Iterator[DockerRig]:
    start_engine(folder)
    rig = DockerRig(folder / "docker.sock", open_root, answer_secs=3.0)
    yield rig
    rig.clear()


def pid_of(folder: Path) -> int:
    return int((folder / "pid").read_text())


async def until_available(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    async with asyncio.timeout(20):
        while True:
            try:
                return await ask()
            except Unavailable:
                await asyncio.sleep(0.05)


async def test_an_absent_engine_is_said_and_waited_for(open_root: Path, folder: Path) -> None:
    rig = DockerRig(folder / "docker.sock", open_root)
    async with rig.driver() as driver:
        with pytest.raises(Unavailable, match="no Docker engine answers"):
            await driver.survey()
        with pytest.raises(Unavailable, match="no Docker engine answers"):
            await driver.look([new_task_id()])
        used = time.process_time()
        await asyncio.sleep(1)  # as long as a loop that spins would need to be seen
        assert time.process_time() - used < 0.3

        start_engine(folder)

        assert await until_available(driver.survey) == {}


async def test_a_restart_of_the_engine_heals(own_rig: DockerRig, folder: Path) -> None:
    async with own_rig.driver() as driver:
        spec = own_rig.waiting()
        sleeper = own_rig.waiting()
        started = await driver.start(spec)
        await driver.prepare(sleeper)

        kill_engine(folder)
        with pytest.raises(Unavailable):
            await driver.start(sleeper)
        meanwhile = await driver.look([spec.task_id])
        start_engine(folder)
        await until_hinted(driver, spec.task_id)  # an engine that was killed ends its containers
        after = await driver.look([spec.task_id])
        woken = await driver.start(sleeper)

        assert meanwhile == {spec.task_id: started}
        assert after[spec.task_id].status == "exited"
        assert woken.status == "up"


async def test_a_hung_engine_makes_nobody_wait_for_long(own_rig: DockerRig, folder: Path) -> None:
    async with own_rig.driver() as driver:
        spec, sleeper = own_rig.waiting(), own_rig.waiting()
        started = await driver.start(spec)
        await driver.prepare(sleeper)

        hang_engine(folder)
        try:
            async with asyncio.timeout(20):
                with pytest.raises(Unavailable, match=r"did not answer within [345] s"):
                    await driver.survey()
                with pytest.raises(Unavailable, match=r"did not answer within [567] s"):
                    await driver.start(sleeper)
                assert await driver.look([spec.task_id]) == {spec.task_id: started}
        finally:
            resume_engine(folder)

        assert (await until_available(lambda: driver.start(sleeper))).status == "up"
        assert await driver.stop(spec.task_id, grace=GRACE) == 143
        await until(lambda: not own_rig.alive(spec.task_id))
