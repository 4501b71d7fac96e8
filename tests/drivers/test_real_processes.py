"""What only real processes do: what they are told, what they write, and what they leave running."""

import json
from datetime import timedelta

import pytest

from paas.core.ids import TaskId
from paas.core.ports import Driver
from paas.core.records import replace
from tests import programs
from tests.contract.native import Die
from tests.contract.rigs import NativeRig, is_alive
from tests.contract.test_driver import until_exited
from tests.waiting import until

GRACE = timedelta(seconds=5)


async def until_written(rig: NativeRig, task_id: TaskId, text: str) -> str:
    await until(lambda: rig.log_path(task_id).exists() and text in rig.output(task_id))
    return rig.output(task_id)


async def test_a_second_start_of_an_ended_task_writes_nothing(driver: Driver, rig: NativeRig) -> None:
    spec = rig.spec(programs.CRASH)
    await driver.start(spec)
    await until_exited(driver, spec.task_id)

    await driver.start(spec)

    assert rig.output(spec.task_id) == "cannot go on\n"


async def test_the_port_of_the_start_counts_not_that_of_the_preparation(
    driver: Driver, rig: NativeRig
) -> None:
    spec = rig.spec(programs.ENVIRONMENT, port=0)
    await driver.prepare(spec)

    await driver.start(replace(spec, port=45123))

    assert '"PORT": "45123"' in await until_written(rig, spec.task_id, "}\n")


async def test_a_command_that_does_not_exist_ends_with_its_reason(driver: Driver, rig: NativeRig) -> None:
    spec = rig.spec(programs.CRASH, command=("./nothing-here",))

    await driver.start(spec)

    assert (await until_exited(driver, spec.task_id)).exit_code == 127
    assert "nothing-here" in rig.output(spec.task_id)


@pytest.mark.parametrize("stay", ["", "yes"])
async def test_a_daemon_in_another_session_does_not_survive(
    driver: Driver, rig: NativeRig, stay: str
) -> None:
    spec = rig.spec(programs.DOUBLE_FORK, env={"STAY": stay})
    await driver.start(spec)
    text = await until_written(rig, spec.task_id, "\n")
    daemon = int(text.split()[1])

    await driver.stop(spec.task_id, grace=GRACE)

    assert not is_alive(daemon)


async def test_what_a_task_that_ends_by_itself_leaves_is_killed(driver: Driver, rig: NativeRig) -> None:
    spec = rig.spec(programs.DOUBLE_FORK)

    await driver.start(spec)
    daemon = int((await until_written(rig, spec.task_id, "\n")).split()[1])

    await until(lambda: not is_alive(daemon))


async def test_a_task_of_a_dead_agent_can_be_stopped_without_a_survey(
    rig: NativeRig, start_and_die: Die
) -> None:
    spec = rig.spec(programs.DOUBLE_FORK, env={"STAY": "yes"})
    await start_and_die([spec])
    daemon = int((await until_written(rig, spec.task_id, "\n")).split()[1])

    async with rig.driver() as driver:
        code = await driver.stop(spec.task_id, grace=GRACE)
        await driver.forget(spec.task_id)

    assert code == 143
    assert not is_alive(daemon)


async def test_what_a_task_is_told_is_on_no_disk(driver: Driver, rig: NativeRig) -> None:
    spec = rig.spec(programs.ENVIRONMENT, env={"TOKEN": "correct horse"})
    await driver.prepare(spec)
    await driver.start(spec)
    await until_written(rig, spec.task_id, "}\n")

    files = [path for path in rig.root.rglob("*") if path.is_file() and path != rig.log_path(spec.task_id)]

    assert "correct horse" in rig.output(spec.task_id)
    assert files
    assert not [path for path in files if b"correct horse" in path.read_bytes()]


async def test_more_variables_than_a_pipe_takes_at_once(driver: Driver, rig: NativeRig) -> None:
    many = {f"VARIABLE_{number}": "it's" * 500 for number in range(60)}
    spec = rig.spec(programs.ENVIRONMENT, env=many)

    await driver.start(spec)

    told = json.loads(await until_written(rig, spec.task_id, "}\n"))["env"]

    assert told.items() >= many.items()
