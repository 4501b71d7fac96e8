"""What every driver does. Each verb twice, and again after the death of the agent that began it."""

import asyncio
from datetime import timedelta

import pytest

from paas.core.errors import StartFailed
from paas.core.ids import TaskId, new_task_id
from paas.core.model import Instance
from paas.core.ports import Driver
from tests.contract.rigs import Rig
from tests.waiting import until

GRACE = timedelta(seconds=5)
SHORT = timedelta(milliseconds=200)


async def seen(driver: Driver, task_id: TaskId) -> Instance | None:
    return (await driver.look([task_id])).get(task_id)


async def until_exited(driver: Driver, task_id: TaskId) -> Instance:
    async with asyncio.timeout(15):
        while True:
            instance = await seen(driver, task_id)
            if instance is not None and instance.status == "exited":
                return instance
            await asyncio.sleep(0.01)


async def test_a_task_prepared_twice_and_never_started_is_absent(driver: Driver, rig: Rig) -> None:
    spec = rig.waiting()

    await driver.prepare(spec)
    await driver.prepare(spec)

    assert await seen(driver, spec.task_id) is None
    assert spec.task_id not in await driver.survey()
    assert rig.alive(spec.task_id) == 0


async def test_a_task_foreseen_and_never_started_is_absent(driver: Driver, rig: Rig) -> None:
    spec = rig.waiting()
    await driver.prepare(spec)

    driver.foresee(spec.task_id)
    driver.foresee(spec.task_id)
    driver.foresee(new_task_id())  # never prepared

    assert await seen(driver, spec.task_id) is None
    assert spec.task_id not in await driver.survey()
    assert rig.alive(spec.task_id) == 0


async def test_a_foreseen_task_is_started_once(driver: Driver, rig: Rig) -> None:
    spec = rig.waiting()
    await driver.prepare(spec)
    driver.foresee(spec.task_id)

    instance = await driver.start(spec)

    driver.foresee(spec.task_id)
    await rig.until_up(spec)
    assert rig.alive(spec.task_id) == 1
    assert await driver.start(spec) == instance


async def test_a_started_task_is_up_at_its_address(driver: Driver, rig: Rig) -> None:
    spec = rig.waiting()

    instance = await driver.start(spec)

    assert instance.status == "up"
    assert instance.address is not None
    assert instance.address.port == spec.port
    assert await seen(driver, spec.task_id) == instance
    assert (await driver.survey())[spec.task_id] == instance


async def test_two_starts_are_one_process(driver: Driver, rig: Rig) -> None:
    spec = rig.waiting()

    async with asyncio.TaskGroup() as group:
        starts = [group.create_task(driver.start(spec)) for _ in range(5)]
    again = await driver.start(spec)

    assert {start.result() for start in starts} == {again}
    await rig.until_up(spec)
    assert rig.alive(spec.task_id) == 1


async def test_starts_of_a_task_that_ends_at_once_find_it_all(driver: Driver, rig: Rig) -> None:
    spec = rig.ending(3)

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(driver.start(spec))

    assert (await until_exited(driver, spec.task_id)).exit_code == 3


async def test_a_start_of_an_ended_task_finds_it_ended(driver: Driver, rig: Rig) -> None:
    spec = rig.ending(0)
    await driver.start(spec)
    await until_exited(driver, spec.task_id)

    instance = await driver.start(spec)

    assert (instance.status, instance.exit_code) == ("exited", 0)


@pytest.mark.parametrize("code", [0, 3, 255])
async def test_the_exit_code_is_kept(driver: Driver, rig: Rig, code: int) -> None:
    spec = rig.ending(code)

    await driver.start(spec)

    assert (await until_exited(driver, spec.task_id)).exit_code == code
    assert await driver.stop(spec.task_id, grace=GRACE) == code


async def test_a_program_that_is_not_there_cannot_start(driver: Driver, rig: Rig) -> None:
    spec = rig.absent()

    with pytest.raises(StartFailed, match=rig.refused):
        await driver.start(spec)

    assert await seen(driver, spec.task_id) is None


async def test_stop_asks_first(driver: Driver, rig: Rig) -> None:
    spec = rig.waiting()
    await driver.start(spec)
    await rig.until_up(spec)  # the first process of a container is deaf to what it does not yet expect

    first = await driver.stop(spec.task_id, grace=GRACE)
    second = await driver.stop(spec.task_id, grace=GRACE)

    assert (first, second) == (143, 143)
    assert rig.alive(spec.task_id) == 0
    assert (await until_exited(driver, spec.task_id)).exit_code == 143


async def test_stop_kills_what_cannot_be_asked(driver: Driver, rig: Rig) -> None:
    spec = rig.stubborn()
    await driver.start(spec)
    await rig.until_up(spec)

    assert await driver.stop(spec.task_id, grace=SHORT) == 137
    assert await driver.stop(spec.task_id, grace=SHORT) == 137
    assert rig.alive(spec.task_id) == 0


async def test_many_stops_at_once_agree(driver: Driver, rig: Rig) -> None:
    spec = rig.stubborn()
    await driver.start(spec)
    await rig.until_up(spec)

    async with asyncio.TaskGroup() as group:
        stops = [group.create_task(driver.stop(spec.task_id, grace=SHORT)) for _ in range(5)]

    assert {stop.result() for stop in stops} == {137}


async def test_stopping_what_is_absent_or_only_prepared_succeeds(driver: Driver, rig: Rig) -> None:
    spec = rig.waiting()
    await driver.prepare(spec)

    assert await driver.stop(new_task_id(), grace=GRACE) is None
    assert await driver.stop(spec.task_id, grace=GRACE) is None


async def test_a_hint_comes_when_a_task_ends(driver: Driver, rig: Rig) -> None:
    spec = rig.ending(0)
    hints = driver.hints()
    await driver.start(spec)

    async with asyncio.timeout(10):
        assert await anext(hints) == spec.task_id

    assert (await until_exited(driver, spec.task_id)).exit_code == 0


async def test_forgetting_twice_leaves_nothing(driver: Driver, rig: Rig) -> None:
    spec = rig.ending(0)
    await driver.start(spec)
    await until_exited(driver, spec.task_id)

    await driver.forget(spec.task_id)
    await driver.forget(spec.task_id)

    assert await seen(driver, spec.task_id) is None
    assert spec.task_id not in await driver.survey()


async def test_forgetting_a_task_that_runs_ends_it(driver: Driver, rig: Rig) -> None:
    spec = rig.waiting()
    await driver.start(spec)

    await driver.forget(spec.task_id)

    assert rig.alive(spec.task_id) == 0


async def test_tasks_of_a_dead_agent_are_adopted_and_stopped(rig: Rig) -> None:
    specs = [rig.waiting(), rig.stubborn(), rig.ending(7)]
    pids = await rig.start_and_die(specs)
    for spec in specs[:2]:
        await rig.until_up(spec)

    async with rig.driver() as driver:
        await until_exited(driver, specs[2].task_id)
        found = await driver.survey()
        again = [await driver.start(spec) for spec in specs]
        hints = driver.hints()
        graces = (GRACE, SHORT, SHORT)
        codes = [await driver.stop(s.task_id, grace=grace) for s, grace in zip(specs, graces, strict=True)]
        stopped, hinted = {spec.task_id for spec in specs[:2]}, set[TaskId]()
        async with asyncio.timeout(10):
            while not stopped <= hinted:  # the one that ends may have been seen alive before
                hinted.add(await anext(hints))
        after = await driver.survey()
        for spec in specs:
            await driver.forget(spec.task_id)

    assert [found[spec.task_id].status for spec in specs] == ["up", "up", "exited"]
    assert [found[spec.task_id].pid for spec in specs[:2]] == [pids[spec.task_id] for spec in specs[:2]]
    assert [instance.address for instance in again[:2]] == [found[s.task_id].address for s in specs[:2]]
    assert found[specs[2].task_id].exit_code == 7
    assert codes == [143, 137, 7]
    assert [after[spec.task_id].exit_code for spec in specs] == codes
    assert all(rig.alive(spec.task_id) == 0 for spec in specs)


async def test_a_task_that_ended_while_no_agent_lived_is_known(rig: Rig) -> None:
    spec = rig.ending(9)
    await rig.start_and_die([spec])
    await until(lambda: not rig.alive(spec.task_id))

    async with rig.driver() as driver:
        instance = await until_exited(driver, spec.task_id)
        await driver.forget(spec.task_id)

    assert instance.exit_code == 9


async def test_leaving_the_driver_leaves_its_tasks(rig: Rig) -> None:
    spec = rig.waiting()
    async with rig.driver() as driver:
        started = await driver.start(spec)

    async with rig.driver() as other:
        found = await other.survey()
        await other.forget(spec.task_id)

    assert found[spec.task_id] == started


async def test_a_task_listens_at_its_own_address_and_not_at_another_task_s(
    driver: Driver, rig: Rig, own_port: int
) -> None:
    spec = rig.serving(own_port)
    server = await driver.start(spec)
    other = await driver.start(rig.waiting())
    address = server.address
    assert address is not None

    async with asyncio.timeout(15):
        while not await driver.listens(server.task_id, address):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)

    assert not await driver.listens(other.task_id, address)
    assert not await driver.listens(new_task_id(), address)
    await driver.stop(server.task_id, grace=GRACE)
    assert not await driver.listens(server.task_id, address)
