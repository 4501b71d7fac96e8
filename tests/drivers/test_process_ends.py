"""How native tasks end, by themselves and by others, and that nothing is left of them."""

import asyncio
import os
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from paas.drivers.ending import hears
from paas.drivers.process import ProcessDriver
from paas.launching import leftovers
from tests import programs
from tests.contract.rigs import NativeRig, descriptors, is_alive, processes_of
from tests.waiting import until

GRACE = timedelta(seconds=5)


async def test_a_task_stopped_at_once_ends_at_once(driver: ProcessDriver, rig: NativeRig) -> None:
    for _ in range(20):
        spec = rig.spec(programs.CRASH, command=("sleep", "1000"))
        await driver.start(spec)

        async with asyncio.timeout(4):
            await driver.stop(spec.task_id, grace=GRACE)

        assert processes_of(spec.task_id) == []


def test_the_copy_of_a_launcher_that_has_just_become_a_shell_is_not_the_program() -> None:
    script = "read -r _; exec dash -c 'trap : TERM; (trap : TERM; echo copied; read -r _)'"
    with subprocess.Popen(["bash", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as launcher:

        def members() -> list[int]:
            """Let it become the other shell, and fork its copy, only now."""
            assert launcher.stdin
            assert launcher.stdout
            launcher.stdin.write(b"\n")
            launcher.stdin.flush()
            assert launcher.stdout.readline() == b"copied\n"
            (copy,) = leftovers.find_children(launcher.pid)
            return [launcher.pid, copy]

        assert not hears(launcher.pid, members)


async def test_a_stopped_process_ends_when_asked(driver: ProcessDriver, rig: NativeRig) -> None:
    spec = rig.spec(programs.CRASH, command=("sleep", "1000"))
    await driver.start(spec)
    await until(lambda: processes_of(spec.task_id))
    os.kill(processes_of(spec.task_id)[0], signal.SIGSTOP)

    assert await driver.stop(spec.task_id, grace=GRACE) == 143


@pytest.mark.parametrize(
    "number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM]
)
async def test_a_signal_to_the_group_leaves_the_exit_code(
    driver: ProcessDriver, rig: NativeRig, number: signal.Signals
) -> None:
    spec = rig.spec(programs.CRASH, command=("sleep", "1000"))
    instance = await driver.start(spec)
    await until(lambda: processes_of(spec.task_id))
    assert instance.pid

    os.killpg(instance.pid, number)

    await until(lambda: not processes_of(spec.task_id))
    assert await driver.stop(spec.task_id, grace=GRACE) == 128 + number


async def test_a_killed_launcher_is_an_end_without_a_code_and_leaves_nothing(
    driver: ProcessDriver, rig: NativeRig
) -> None:
    spec = rig.spec(programs.CRASH, command=("sleep", "1000"))
    instance = await driver.start(spec)
    await until(lambda: processes_of(spec.task_id))
    assert instance.pid

    os.kill(instance.pid, signal.SIGKILL)

    await until(lambda: not processes_of(spec.task_id))
    found = (await driver.look([spec.task_id]))[spec.task_id]
    assert (found.status, found.exit_code) == ("exited", None)


async def test_a_daemon_without_environment_cannot_leave_its_group(open_root: Path) -> None:
    rig = NativeRig(open_root)
    spec = rig.spec(programs.DOUBLE_FORK, env={"CLEAR": "yes"})
    async with rig.driver() as driver:
        if driver.limits_in_force()["containment"] != "cgroup v2":
            return
        await driver.start(spec)
        await until(lambda: rig.output(spec.task_id).endswith("\n"))
        daemon = int(rig.output(spec.task_id).split()[1])

        await driver.stop(spec.task_id, grace=GRACE)

    assert not is_alive(daemon)


async def test_a_hundred_tasks_at_once_cost_no_descriptor_when_gone(rig: NativeRig) -> None:
    async with rig.driver() as driver:
        await run_to_the_end(driver, rig, 1)
        await until(lambda: parked(rig) == 1)
        before = descriptors()

        await run_to_the_end(driver, rig, 100)

        # Its pipe and its pidfd may not have been open yet before; a leak in every task would show as 100.
        await until(lambda: parked(rig) == 1 and descriptors() <= before + 2)
    assert parked(rig) == 0


def parked(rig: NativeRig) -> int:
    return len(list((rig.root / "runs" / ".parked").iterdir()))


async def run_to_the_end(driver: ProcessDriver, rig: NativeRig, count: int) -> None:
    specs = [rig.spec(programs.CRASH, command=("sleep", "1000")) for _ in range(count)]
    async with asyncio.TaskGroup() as group:
        for spec in specs:
            group.create_task(driver.start(spec))
    async with asyncio.TaskGroup() as group:
        stops = [group.create_task(driver.stop(spec.task_id, grace=GRACE)) for spec in specs]
    assert {stop.result() for stop in stops} <= {143, None}  # None: asked before it had begun
    for spec in specs:
        await driver.forget(spec.task_id)
