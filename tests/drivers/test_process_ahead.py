"""What native tasks have done ahead of their start: launchers are parked, runs are prepared."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from paas.core.errors import StartFailed
from paas.core.ids import new_task_id
from paas.core.model import TaskSpec
from paas.core.records import replace
from paas.drivers import launchers
from paas.drivers.process import ProcessDriver
from paas.drivers.start_script import MOST_AHEAD
from paas.launching import leftovers
from tests import processes, programs
from tests.contract.native import Die
from tests.contract.rigs import NativeRig, is_alive
from tests.waiting import until


async def test_parked_launchers_end_with_the_agent(rig: NativeRig, start_and_die: Die) -> None:
    spec = rig.spec(programs.ONE_SHOT)

    await start_and_die([spec])

    await until(lambda: not launchers_of(rig))
    async with rig.driver() as driver:
        await driver.forget(spec.task_id)


async def test_a_launcher_killed_while_parked_is_replaced(rig: NativeRig) -> None:
    async with rig.driver() as driver:
        await until_ready(driver)
        kill_launchers(rig)
        await until(lambda: not driver._pool._parked)
        spec = rig.spec(programs.ONE_SHOT)

        await driver.start(spec)

        await until(lambda: rig.output(spec.task_id) == "done\n")


async def test_a_launcher_that_does_not_carry_out_its_order_holds_up_no_later_agent(rig: NativeRig) -> None:
    spec = rig.spec(programs.ONE_SHOT)
    async with rig.driver() as driver:
        await until(lambda: driver._pool._parked)
        os.killpg(driver._pool._parked[0].pid, signal.SIGSTOP)
        await driver.start(spec)
    assert rig.output(spec.task_id) == ""

    async with rig.driver() as driver:
        assert await driver.survey() == {}
        await driver.start(spec)

        await until(lambda: rig.output(spec.task_id) == "done\n")


@pytest.mark.parametrize("tells_of_it", [False, True])
async def test_a_start_that_chose_a_launcher_in_the_moment_of_its_death_may_be_repeated(
    rig: NativeRig, *, tells_of_it: bool
) -> None:
    spec = rig.spec(programs.ONE_SHOT)
    async with rig.driver() as driver:
        await driver.prepare(spec)
        await until_ready(driver)
        if tells_of_it:
            kill_children_of_launchers(rig)
        kill_launchers(rig)
        with pytest.raises(StartFailed, match="Broken pipe"):
            await driver.start(spec)

        await driver.start(spec)

        await until(lambda: rig.output(spec.task_id) == "done\n")


async def test_a_prepared_task_is_told_what_its_start_says(driver: ProcessDriver, rig: NativeRig) -> None:
    spec = rig.spec(programs.ENVIRONMENT, env={"COLOUR": "blue"})
    await driver.prepare(replace(spec, port=0))

    facts = await rig.facts_of(driver, replace(spec, env={"COLOUR": "red"}))

    assert facts["env"]["COLOUR"] == "red"
    assert facts["env"]["PORT"] == str(spec.port)


async def test_the_first_of_many_prepared_tasks_starts_as_well(driver: ProcessDriver, rig: NativeRig) -> None:
    specs = [rig.spec(programs.ENVIRONMENT, env={"COLOUR": str(n)}) for n in range(MOST_AHEAD + 2)]
    for spec in specs:
        await driver.prepare(replace(spec, port=0))

    first, last = await rig.facts_of(driver, specs[0]), await rig.facts_of(driver, specs[-1])

    assert (first["env"]["COLOUR"], last["env"]["COLOUR"]) == ("0", str(MOST_AHEAD + 1))


async def test_a_foreseen_task_is_told_what_its_start_says(driver: ProcessDriver, rig: NativeRig) -> None:
    spec = rig.spec(programs.ENVIRONMENT, env={"COLOUR": "blue", "LONG": "long " * 20_000})
    for colour in ("blue", "red"):
        again = replace(spec, task_id=new_task_id())
        await driver.prepare(replace(again, port=0))
        driver.foresee(again.task_id)

        facts = await rig.facts_of(driver, replace(again, env={**spec.env, "COLOUR": colour}))

        assert facts["env"]["COLOUR"] == colour
        assert facts["env"]["PORT"] == str(spec.port)


async def test_another_starts_while_one_is_foreseen(driver: ProcessDriver, rig: NativeRig) -> None:
    foreseen, other = (rig.spec(programs.ENVIRONMENT, env={"COLOUR": each}) for each in ("blue", "red"))
    for spec in (foreseen, other):
        await driver.prepare(spec)
        driver.foresee(spec.task_id)

    told = [(await rig.facts_of(driver, spec))["env"]["COLOUR"] for spec in (other, foreseen)]

    assert told == ["red", "blue"]


async def test_a_launcher_whose_order_does_not_follow_is_replaced(
    rig: NativeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launchers, "CALLED_UP_FOR_S", 0.02)
    spec = rig.spec(programs.ONE_SHOT)
    async with rig.driver() as driver:
        await until(lambda: launchers_of(rig))
        before = launchers_of(rig)
        await driver.prepare(spec)

        def are_others() -> bool:
            driver.foresee(spec.task_id)  # heard once the first is parked
            return bool(launchers_of(rig) - before) and not launchers_of(rig) & before

        await until(are_others)
        await driver.start(spec)
        await until(lambda: rig.output(spec.task_id) == "done\n")
        await driver.forget(spec.task_id)


async def test_a_foreseen_task_can_be_started_by_the_next_agent(rig: NativeRig) -> None:
    spec = rig.spec(programs.ONE_SHOT)
    async with rig.driver() as driver:
        await driver.prepare(spec)
        driver.foresee(spec.task_id)

    assert not launchers_of(rig)
    await is_new_to_the_next_agent(rig, spec)


async def test_a_run_chosen_but_never_told_can_be_started_again(rig: NativeRig) -> None:
    spec = rig.spec(programs.ONE_SHOT)
    async with rig.driver() as driver:
        await driver.prepare(spec)
        (rig.root / "runs" / spec.task_id / "record").write_text("launcher 999999 none\n")

    await is_new_to_the_next_agent(rig, spec)


async def test_runs_that_were_only_prepared_are_swept(rig: NativeRig) -> None:
    spec = rig.spec(programs.ONE_SHOT)
    async with rig.driver() as driver:
        await driver.prepare(spec)

    async with rig.driver():
        assert not (rig.root / "runs" / spec.task_id).exists()


async def is_new_to_the_next_agent(rig: NativeRig, spec: TaskSpec) -> None:
    async with rig.driver() as driver:
        absent = await driver.survey()
        await driver.start(spec)
        await until(lambda: rig.output(spec.task_id) == "done\n")
        await driver.forget(spec.task_id)

    assert spec.task_id not in absent


def launchers_of(rig: NativeRig) -> set[int]:
    """Find the shells that wait, each with the child that it forked ahead."""
    script = str(rig.root / "runs" / ".launch.sh").encode()
    everything = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return {pid for pid in everything if is_alive(pid) and script in command_of(pid)}


async def until_ready(driver: ProcessDriver) -> None:
    """Wait until a launcher is parked that is a shell by now, and has forked ahead."""
    await until(lambda: any(leftovers.find_children(each.pid) for each in driver._pool._parked))


def kill_launchers(rig: NativeRig) -> None:
    """Kill the shells that wait, before the loop can hear of it; their pipes are closed then."""
    killed: set[int] = set()
    while found := launchers_of(rig) | set(filter(processes.is_alive, killed)):
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= found
        time.sleep(0.001)


def kill_children_of_launchers(rig: NativeRig) -> None:
    """Kill what launchers forked ahead, and wait until these have written that down."""
    while not (children := [child for pid in launchers_of(rig) for child in leftovers.find_children(pid)]):
        time.sleep(0.001)
    waiting = launchers_of(rig)
    leftovers.kill_each(children)
    while any(map(processes.is_alive, waiting)):
        time.sleep(0.001)


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
