"""A state changes by move() alone: legally, once, and with its event."""

import pytest

from paas.core.errors import IllegalMove, Stale
from paas.core.states import DeploymentState, TaskState
from paas.store import deployments, feed, snapshots, tasks
from paas.store.database import Database
from paas.store.feed import Feed
from paas.store.transitions import move_deployment, move_task
from tests.store.records import insert_app, insert_deployment, insert_task, read_deployment, read_task


async def test_a_move_changes_the_row_and_adds_its_event(database: Database) -> None:
    app = await insert_app(database)
    deployment = await insert_deployment(database, app.id)
    task = await insert_task(database, deployment)

    async with database.record() as tx:
        moved = await move_task(tx, task, TaskState.STARTING, now=5.0, port=20000, started_at=5.0)

    assert await read_task(database, task.id) == moved
    event = (await Feed(database).after(0))[-1]
    assert (event.kind, event.task_id, event.deployment_id, event.app_id) == (
        "task.starting",
        task.id,
        deployment.id,
        app.id,
    )
    assert event.facts == {"port": 20000, "started_at": 5.0}


async def test_an_illegal_move_is_refused(database: Database) -> None:
    deployment = await insert_deployment(database, (await insert_app(database)).id)

    with pytest.raises(IllegalMove):
        async with database.record() as tx:
            await move_deployment(tx, deployment, DeploymentState.QUEUED, now=5.0)

    assert (await read_deployment(database, deployment.id)).state is DeploymentState.ACTIVE


async def test_the_second_of_two_movers_is_told_and_changes_nothing(database: Database) -> None:
    deployment = await insert_deployment(database, (await insert_app(database)).id)
    async with database.record() as tx:
        await move_deployment(tx, deployment, DeploymentState.STOPPED, now=5.0, reason="first")

    with pytest.raises(Stale):
        async with database.record() as tx:
            await move_deployment(tx, deployment, DeploymentState.SUPERSEDED, now=6.0, reason="second")

    assert (await read_deployment(database, deployment.id)).reason == "first"


async def test_a_follower_reads_on_from_where_it_was(database: Database) -> None:
    follower = Feed(database)
    await insert_app(database, "one")
    seen = []

    async for event in follower.follow(0):
        seen.append(event.facts["name"])
        if len(seen) == 1:
            await insert_app(database, "two")
        else:
            break

    assert seen == ["one", "two"]


async def test_events_can_be_read_from_the_newest(database: Database) -> None:
    for name in ("one", "two", "three"):
        await insert_app(database, name)

    newest = await feed.read(
        database.reader, 2**62, app_id=None, deployment_id=None, limit=2, newest_first=True
    )

    assert [event.facts["name"] for event in newest] == ["three", "two"]


async def test_a_snapshot_holds_the_live_tasks_and_the_last_that_ended(database: Database) -> None:
    app = await insert_app(database)
    deployment = await insert_deployment(database, app.id)
    for _ in range(tasks.ENDED_SHOWN + 3):
        task = await insert_task(database, deployment)
        async with database.record() as tx:
            await move_task(tx, task, TaskState.STOPPED, now=5.0, ended_at=float(len(task.id)))
    live = await insert_task(database, deployment)

    stored = await snapshots.read(database.reader, deployment.id)

    assert stored is not None
    assert stored.app == app
    assert stored.deployment == deployment
    assert stored.live == (live,)
    assert len(stored.ended) == tasks.ENDED_SHOWN
    assert not stored.is_current


async def test_retention_deletes_only_what_ended_and_is_current_nowhere(database: Database) -> None:
    app = await insert_app(database)
    made = [await insert_deployment(database, app.id, version) for version in range(1, 6)]
    for deployment in made[:-1]:
        async with database.record() as tx:
            await move_deployment(tx, deployment, DeploymentState.STOPPED, now=5.0)
    task = await insert_task(database, made[0])

    old = await deployments.beyond_retention(database.reader, keep_per_app=2, keep_served=0)
    async with database.record() as tx:
        deleted = [await deployments.delete_ended(tx, deployment.id) for deployment in old]

    assert [deployment.version for deployment in old] == [2, 1]
    assert deleted == [True, False]
    assert (await read_task(database, task.id)).state is TaskState.PENDING
