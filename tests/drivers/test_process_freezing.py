"""Native tasks that end while they are frozen, or are looked at while they end."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from paas.core.ids import TaskId
from paas.drivers.ending import Running
from paas.drivers.halting import Halter
from paas.drivers.process import ProcessDriver
from tests.contract.native import native_rig
from tests.contract.rigs import NativeRig, processes_of
from tests.processes import is_alive
from tests.waiting import until


class Slow(Halter):
    """Is preempted after a thaw, until a launcher that has nothing to wait for has ended."""

    def thaw(self, running: Running, members: Callable[[], list[int]]) -> None:
        super().thaw(running, members)
        while is_alive(running.launcher):
            time.sleep(0.001)


async def test_a_task_killed_while_it_was_frozen_is_not_thawed(open_root: Path) -> None:
    rig = native_rig("native with control groups", open_root)
    spec = rig.waiting()
    async with rig.driver() as driver:
        await driver.start(spec)
        await rig.until_up(spec)
        await driver.freeze(spec.task_id)
        kill_all(spec.task_id)
        await until(lambda: not processes_of(spec.task_id))
        driver._halter = Slow(driver._cgroups)

        thawed = await driver.thaw(spec.task_id)

        await driver.forget(spec.task_id)
    assert thawed is None


async def test_a_task_whose_end_is_not_on_record_yet_is_not_taken_for_frozen(
    driver: ProcessDriver, rig: NativeRig
) -> None:
    spec = rig.waiting()
    instance = await driver.start(spec)
    await rig.until_up(spec)
    assert instance.pid is not None
    os.kill(instance.pid, signal.SIGSTOP)  # its launcher gets no turn
    try:
        kill_all(spec.task_id)
        await until(lambda: not processes_of(spec.task_id))

        async with rig.driver() as other:
            found = await other.survey()
    finally:
        os.kill(instance.pid, signal.SIGCONT)

    assert found[spec.task_id].status == "up"


def kill_all(task_id: TaskId) -> None:
    for pid in processes_of(task_id):
        os.kill(pid, signal.SIGKILL)
