"""What every driver does. Each verb twice, and again after the death of the agent that began it."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta

import pytest

from paas.core.errors import StartFailed
from paas.core.ids import TaskId, new_task_id
from paas.core.model import Instance, TaskSpec
from paas.core.ports import Driver
from tests import programs
from tests.contract.conftest import Die
from tests.contract.rigs import NativeRig, is_alive, processes_of
from tests.waiting import until

GRACE = timedelta(seconds=5)
SHORT = timedelta(milliseconds=200)
WAITS = ("sleep", "1000")


def waiting(rig: NativeRig) -> TaskSpec:
    return rig.spec(programs.CRASH, command=WAITS)


async def seen(driver: Driver, task_id: TaskId) -> Instance | None:
    return (await driver.look([task_id])).get(task_id)


async def until_exited(driver: Driver, task_id: TaskId) -> Instance:
    async with asyncio.timeout(15):
        while True:
            instance = await seen(driver, task_id)
            if instance is not None and instance.status == "exited":
                return instance
            await asyncio.sleep(0.01)


async def until_written(rig: NativeRig, task_id: TaskId, text: str) -> str:
    await until(lambda: rig.log_path(task_id).exists() and text in rig.output(task_id))
    return rig.output(task_id)


async def test_a_task_prepared_twice_and_never_started_is_absent(driver: Driver, rig: NativeRig) -> None:
    spec = waiting(rig)

    await driver.prepare(spec)
    await driver.prepare(spec)

    assert await seen(driver, spec.task_id) is None
    assert spec.task_id not in await driver.survey()
    assert processes_of(spec.task_id) == []


async def test_a_started_task_is_up_at_its_address(driver: Driver, rig: NativeRig) -> None:
    spec = waiting(rig)

    instance = await driver.start(spec)

    assert instance.status == "up"
    assert instance.address is not None
    assert instance.address.port == spec.port
    assert await seen(driver, spec.task_id) == instance
    assert (await driver.survey())[spec.task_id] == instance


async def test_the_port_of_the_start_counts_not_that_of_the_preparation(
    driver: Driver, rig: NativeRig
) -> None:
    spec = rig.spec(programs.ENVIRONMENT, port=0)
    await driver.prepare(spec)

    await driver.start(replace(spec, port=45123))

    assert '"PORT": "45123"' in await until_written(rig, spec.task_id, "}\n")


async def test_two_starts_are_one_process(driver: Driver, rig: NativeRig) -> None:
    spec = waiting(rig)

    async with asyncio.TaskGroup() as group:
        starts = [group.create_task(driver.start(spec)) for _ in range(5)]
    again = await driver.start(spec)

    assert {start.result() for start in starts} == {again}
    await until(lambda: processes_of(spec.task_id))
    assert len(processes_of(spec.task_id)) == 1


async def test_a_start_of_an_ended_task_finds_it_ended(driver: Driver, rig: NativeRig) -> None:
    spec = rig.spec(programs.ONE_SHOT)
    await driver.start(spec)
    await until_exited(driver, spec.task_id)

    instance = await driver.start(spec)

    assert (instance.status, instance.exit_code) == ("exited", 0)
    assert rig.output(spec.task_id) == "done\n"


@pytest.mark.parametrize("code", ["0", "3", "255"])
async def test_the_exit_code_is_kept(driver: Driver, rig: NativeRig, code: str) -> None:
    spec = rig.spec(programs.CRASH, env={"CODE": code})

    await driver.start(spec)

    assert (await until_exited(driver, spec.task_id)).exit_code == int(code)
    assert await driver.stop(spec.task_id, grace=GRACE) == int(code)
    assert rig.output(spec.task_id) == "cannot go on\n"


async def test_a_command_that_does_not_exist_ends_with_its_reason(driver: Driver, rig: NativeRig) -> None:
    spec = rig.spec(programs.CRASH, command=("./nothing-here",))

    await driver.start(spec)

    assert (await until_exited(driver, spec.task_id)).exit_code == 127
    assert "nothing-here" in rig.output(spec.task_id)


async def test_a_program_that_is_not_unpacked_cannot_start(driver: Driver, rig: NativeRig) -> None:
    spec = replace(waiting(rig), artifact_sha256="absent")

    with pytest.raises(StartFailed, match="not unpacked"):
        await driver.start(spec)

    assert await seen(driver, spec.task_id) is None


async def test_stop_asks_first(driver: Driver, rig: NativeRig) -> None:
    spec = waiting(rig)
    await driver.start(spec)

    first = await driver.stop(spec.task_id, grace=GRACE)
    second = await driver.stop(spec.task_id, grace=GRACE)

    assert (first, second) == (143, 143)
    assert processes_of(spec.task_id) == []
    assert (await until_exited(driver, spec.task_id)).exit_code == 143


async def test_stop_kills_what_cannot_be_asked(driver: Driver, rig: NativeRig) -> None:
    spec = rig.spec(programs.STUBBORN)
    await driver.start(spec)
    await until_written(rig, spec.task_id, "cannot be asked")

    assert await driver.stop(spec.task_id, grace=SHORT) == 137
    assert await driver.stop(spec.task_id, grace=SHORT) == 137
    assert processes_of(spec.task_id) == []


async def test_many_stops_at_once_agree(driver: Driver, rig: NativeRig) -> None:
    spec = rig.spec(programs.STUBBORN)
    await driver.start(spec)
    await until_written(rig, spec.task_id, "cannot be asked")

    async with asyncio.TaskGroup() as group:
        stops = [group.create_task(driver.stop(spec.task_id, grace=SHORT)) for _ in range(5)]

    assert {stop.result() for stop in stops} == {137}


async def test_stopping_what_is_absent_or_only_prepared_succeeds(driver: Driver, rig: NativeRig) -> None:
    spec = waiting(rig)
    await driver.prepare(spec)

    assert await driver.stop(new_task_id(), grace=GRACE) is None
    assert await driver.stop(spec.task_id, grace=GRACE) is None


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


async def test_a_hint_comes_when_a_task_ends(driver: Driver, rig: NativeRig) -> None:
    spec = rig.spec(programs.ONE_SHOT)
    hints = driver.hints()
    await driver.start(spec)

    async with asyncio.timeout(10):
        assert await anext(hints) == spec.task_id

    assert (await until_exited(driver, spec.task_id)).exit_code == 0


async def test_forgetting_twice_leaves_nothing(driver: Driver, rig: NativeRig) -> None:
    spec = rig.spec(programs.ONE_SHOT)
    await driver.start(spec)
    await until_exited(driver, spec.task_id)

    await driver.forget(spec.task_id)
    await driver.forget(spec.task_id)

    assert await seen(driver, spec.task_id) is None
    assert spec.task_id not in await driver.survey()


async def test_forgetting_a_task_that_runs_ends_it(driver: Driver, rig: NativeRig) -> None:
    spec = waiting(rig)
    await driver.start(spec)

    await driver.forget(spec.task_id)

    assert processes_of(spec.task_id) == []


async def test_tasks_of_a_dead_agent_are_adopted_and_stopped(rig: NativeRig, start_and_die: Die) -> None:
    specs = [waiting(rig), rig.spec(programs.STUBBORN), rig.spec(programs.CRASH, env={"CODE": "7"})]
    pids = await start_and_die(specs)
    await until_written(rig, specs[1].task_id, "cannot be asked")

    async with rig.driver() as driver:
        await until_exited(driver, specs[2].task_id)
        found = await driver.survey()
        again = [await driver.start(spec) for spec in specs]
        async with aclosing(driver.hints()) as hints:
            codes = [await driver.stop(spec.task_id, grace=SHORT) for spec in specs]
            async with asyncio.timeout(10):
                hinted = {await anext(hints), await anext(hints)}
        after = await driver.survey()
        for spec in specs:
            await driver.forget(spec.task_id)

    assert [found[spec.task_id].status for spec in specs] == ["up", "up", "exited"]
    assert [found[spec.task_id].pid for spec in specs[:2]] == [pids[spec.task_id] for spec in specs[:2]]
    assert [instance.address for instance in again[:2]] == [found[s.task_id].address for s in specs[:2]]
    assert found[specs[2].task_id].exit_code == 7
    assert codes == [143, 137, 7]
    assert hinted == {specs[0].task_id, specs[1].task_id}
    assert [after[spec.task_id].exit_code for spec in specs] == codes
    assert all(processes_of(spec.task_id) == [] for spec in specs)


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


async def test_a_task_that_ended_while_no_agent_lived_is_known(rig: NativeRig, start_and_die: Die) -> None:
    spec = rig.spec(programs.SLOW_START, command=("sh", "-c", "sleep 1; exit 9"))
    await start_and_die([spec])
    await until(lambda: not processes_of(spec.task_id))

    async with rig.driver() as driver:
        instance = await until_exited(driver, spec.task_id)
        await driver.forget(spec.task_id)

    assert instance.exit_code == 9


async def test_leaving_the_driver_leaves_its_tasks(rig: NativeRig) -> None:
    spec = waiting(rig)
    async with rig.driver() as driver:
        started = await driver.start(spec)

    async with rig.driver() as other:
        found = await other.survey()
        await other.forget(spec.task_id)

    assert found[spec.task_id] == started
