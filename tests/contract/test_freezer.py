"""What every driver that freezes does, each verb twice, and after the death of the agent that began it."""

import asyncio
from datetime import timedelta

from paas.core.ids import new_task_id
from paas.core.ports import Driver, Freezer
from tests.contract.rigs import Rig
from tests.contract.test_driver import seen
from tests.waiting import until

GRACE = timedelta(seconds=5)
SHORT = timedelta(milliseconds=200)


def freezer(driver: Driver) -> Freezer:
    assert isinstance(driver, Freezer)
    return driver


async def test_a_frozen_task_is_seen_frozen_where_it_was(driver: Driver, rig: Rig) -> None:
    spec = rig.waiting()
    started = await driver.start(spec)
    await rig.until_up(spec)

    await freezer(driver).freeze(spec.task_id)
    await freezer(driver).freeze(spec.task_id)

    instance = await seen(driver, spec.task_id)
    assert instance is not None
    assert (instance.status, instance.address, instance.pid) == ("frozen", started.address, started.pid)
    assert rig.alive(spec.task_id)


async def test_a_thawed_task_is_up_again(driver: Driver, rig: Rig) -> None:
    spec = rig.waiting()
    started = await driver.start(spec)
    await rig.until_up(spec)
    await freezer(driver).freeze(spec.task_id)

    thawed = await freezer(driver).thaw(spec.task_id)
    again = await freezer(driver).thaw(spec.task_id)

    assert thawed == again == started
    assert await seen(driver, spec.task_id) == started


async def test_a_frozen_task_is_asked_to_end_like_any_other(driver: Driver, rig: Rig) -> None:
    spec = rig.waiting()
    await driver.start(spec)
    await rig.until_up(spec)
    await freezer(driver).freeze(spec.task_id)

    assert await driver.stop(spec.task_id, grace=GRACE) == 143
    assert rig.alive(spec.task_id) == 0


async def test_a_frozen_task_that_cannot_be_asked_is_killed(driver: Driver, rig: Rig) -> None:
    spec = rig.stubborn()
    await driver.start(spec)
    await rig.until_up(spec)
    await freezer(driver).freeze(spec.task_id)

    assert await driver.stop(spec.task_id, grace=SHORT) == 137
    assert rig.alive(spec.task_id) == 0


async def test_a_frozen_task_can_be_forgotten(driver: Driver, rig: Rig) -> None:
    spec = rig.waiting()
    await driver.start(spec)
    await rig.until_up(spec)
    await freezer(driver).freeze(spec.task_id)

    await driver.forget(spec.task_id)

    assert rig.alive(spec.task_id) == 0
    assert await seen(driver, spec.task_id) is None


async def test_freezing_what_is_absent_or_has_ended_succeeds(driver: Driver, rig: Rig) -> None:
    spec = rig.ending(0)
    await driver.start(spec)
    await until(lambda: not rig.alive(spec.task_id))
    async with asyncio.timeout(10):
        await anext(driver.hints())

    for task_id in (spec.task_id, new_task_id()):
        await freezer(driver).freeze(task_id)
        assert await freezer(driver).thaw(task_id) is None


async def test_another_driver_finds_it_frozen_thaws_it_and_stops_it(rig: Rig) -> None:
    one, two = rig.waiting(), rig.stubborn()
    async with rig.driver() as first:
        started = await first.start(one)
        await first.start(two)
        await rig.until_up(one)
        await rig.until_up(two)
        await freezer(first).freeze(one.task_id)
        await freezer(first).freeze(two.task_id)

    async with rig.driver() as second:
        found = await second.survey()
        thawed = await freezer(second).thaw(one.task_id)
        codes = [await second.stop(one.task_id, grace=GRACE), await second.stop(two.task_id, grace=SHORT)]
        for spec in (one, two):
            await second.forget(spec.task_id)

    assert [found[spec.task_id].status for spec in (one, two)] == ["frozen", "frozen"]
    assert thawed == started
    assert codes == [143, 137]
