"""What native tasks have done ahead of their start: launchers are parked, runs are prepared."""

import os
import signal
from pathlib import Path

from paas.core.errors import StartFailed
from paas.core.records import replace
from paas.drivers.process import ProcessDriver
from paas.drivers.start_script import MOST_AHEAD
from tests import programs
from tests.contract.native import Die
from tests.contract.rigs import NativeRig, is_alive
from tests.waiting import until


async def test_parked_launchers_end_with_the_agent(rig: NativeRig, start_and_die: Die) -> None:
    spec = rig.spec(programs.ONE_SHOT)

    await start_and_die([spec])

    folder = rig.root / "runs"
    script = str(folder / ".launch.sh").encode()
    await until(lambda: not [pid for pid in all_processes() if script in command_of(pid)])
    async with rig.driver() as driver:
        await driver.forget(spec.task_id)


async def test_a_launcher_killed_while_parked_is_replaced(rig: NativeRig) -> None:
    async with rig.driver() as driver:
        await driver.start(rig.spec(programs.ONE_SHOT))
        script = str(rig.root / "runs" / ".launch.sh").encode()
        for pid in all_processes():
            if script in command_of(pid):
                os.kill(pid, signal.SIGKILL)
        spec = rig.spec(programs.ONE_SHOT)

        try:
            await driver.start(spec)
        except StartFailed:  # it was chosen in the moment of its death
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


async def test_a_run_chosen_but_never_told_can_be_started_again(rig: NativeRig) -> None:
    spec = rig.spec(programs.ONE_SHOT)
    async with rig.driver() as driver:
        await driver.prepare(spec)
        (rig.root / "runs" / spec.task_id / "record").write_text("launcher 999999 none\n")

    async with rig.driver() as driver:
        absent = await driver.survey()
        await driver.start(spec)
        await until(lambda: rig.output(spec.task_id) == "done\n")
        await driver.forget(spec.task_id)

    assert spec.task_id not in absent


async def test_runs_that_were_only_prepared_are_swept(rig: NativeRig) -> None:
    spec = rig.spec(programs.ONE_SHOT)
    async with rig.driver() as driver:
        await driver.prepare(spec)

    async with rig.driver():
        assert not (rig.root / "runs" / spec.task_id).exists()


def all_processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if is_alive(int(path.name))]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
