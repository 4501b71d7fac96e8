"""What apps were seen to need: looked at now and then, written down when a task ends."""

import asyncio
from collections.abc import Iterable, Mapping

from paas.core.ids import TaskId
from paas.core.live import Measured, Usage
from paas.core.states import TaskState
from paas.engine.metering import EVERY_SECS, Metering
from tests.engine.fake_driver import FakeDriver
from tests.engine.rig import Engine
from tests.waiting import until

MIB = 1024 * 1024


class MeteredDriver(FakeDriver):
    """Says of every task that it uses what the test wants."""

    used: Usage | None = None

    async def measure(self, task_ids: Iterable[TaskId]) -> Mapping[TaskId, Usage]:
        return {} if self.used is None else dict.fromkeys(task_ids, self.used)


class Clock:
    """Sleeps until the test says that the time has come."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._over = asyncio.Event()

    def now(self) -> float:
        return 1.0

    def monotonic(self) -> float:
        return 1.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self._over.wait()
        self._over.clear()

    def pass_time(self) -> None:
        self._over.set()


def usage(mebibytes: int, *, oom_kills: int = 0) -> Usage:
    return Usage(
        cpu_secs=2.0,
        memory_bytes=mebibytes * MIB,
        memory_peak_bytes=mebibytes * MIB,
        oom_kills=oom_kills,
    )


def metering_of(engine: Engine, driver: FakeDriver, clock: Clock) -> Metering:
    return Metering(engine.database, [driver], engine.router.counting, clock)


async def test_running_tasks_are_looked_at_now_and_then(engine: Engine) -> None:
    driver, clock = MeteredDriver(engine.machine), Clock()
    metering = metering_of(engine, driver, clock)
    deployment = await engine.served()

    async with asyncio.TaskGroup() as group:
        loop = group.create_task(metering.run())
        driver.used = usage(40)
        clock.pass_time()
        await until(lambda: metering.peaks == {deployment.app_id: 40 * MIB})
        driver.used = usage(30)
        clock.pass_time()
        await until(lambda: len(clock.slept) == 3)
        loop.cancel()

    assert metering.peaks == {deployment.app_id: 40 * MIB}
    assert set(clock.slept) == {EVERY_SECS}


async def test_what_a_task_used_is_written_down_at_its_end(engine: Engine) -> None:
    driver = MeteredDriver(engine.machine)
    metering = metering_of(engine, driver, Clock())
    deployment = await engine.served()
    app = deployment.app_id
    (task,) = await engine.tasks(deployment, TaskState.RUNNING)
    driver.used = usage(40, oom_kills=2)

    await metering.note_end(app, task, crashed=True)
    await metering.note_end(app, task, oom_killed=True)
    driver.used = usage(10)
    await metering.note_end(app, task)

    told = Measured(memory_peak_bytes=40 * MIB, crashes=1, oom_kills=4)
    assert await metering.measured([app]) == {app: told}
    again = metering_of(engine, driver, Clock())
    await again.load()
    assert await again.measured([app]) == {app: told}
    assert again.peaks == {app: 40 * MIB}
    assert engine.router.counting.ended_cpu_secs(deployment.id) == 6.0


async def test_a_full_disk_does_not_hold_up_the_end_of_a_task(engine: Engine) -> None:
    driver = MeteredDriver(engine.machine)
    metering = metering_of(engine, driver, Clock())
    deployment = await engine.served()
    (task,) = await engine.tasks(deployment, TaskState.RUNNING)
    driver.used = usage(40)
    await engine.fill_disk()

    await metering.note_end(deployment.app_id, task, crashed=True)

    await engine.free_disk()
    assert metering.peaks == {deployment.app_id: 40 * MIB}


async def test_processor_time_never_goes_back(engine: Engine) -> None:
    deployment = await engine.served()
    counting = engine.router.counting

    told = [counting.cpu_secs(deployment.id, ended=0.0, running=running) for running in (3.0, 0.0)]
    counting.note_cpu(deployment.id, 3.5)
    ended = counting.ended_cpu_secs(deployment.id)
    told.append(counting.cpu_secs(deployment.id, ended=ended, running=0.0))

    assert told == [3.0, 3.0, 3.5]
