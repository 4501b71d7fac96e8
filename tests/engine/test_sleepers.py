"""What is kept of sleeping deployments is dropped by any write about them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paas.core.actions import StartTask
from paas.core.model import App, Deployment
from paas.core.records import replace
from paas.core.states import TaskState
from paas.engine.sleepers import MOST_KEPT, Sleeper, Sleepers
from paas.store import apps, deployments, snapshots
from paas.store.database import Database
from paas.store.snapshots import Stored
from paas.store.transitions import move_task
from tests.core.records import SNAPSHOT
from tests.store.records import insert_app, insert_deployment, insert_task

NOW = 1000.0


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(tmp_path / "paas.db") as opened:
        yield opened


async def sleeping(database: Database, version: int = 1, app: App | None = None) -> Deployment:
    app = app or await insert_app(database)
    deployment = await insert_deployment(database, app.id, version)
    await insert_task(database, deployment)
    return deployment


async def read(database: Database, deployment: Deployment) -> Stored:
    stored = await snapshots.read(database.reader, deployment.id)
    assert stored is not None
    return stored


def keep(sleepers: Sleepers, stored: Stored, commits: int | None = None) -> None:
    found = replace(
        SNAPSHOT, deployment=stored.deployment, live=stored.live, ended=stored.ended, rivals=stored.rivals
    )
    sleepers.keep(stored, found, NOW, sleepers.commits() if commits is None else commits)


async def test_a_sleeper_is_recalled_as_it_was_read(database: Database) -> None:
    deployment = await sleeping(database)
    sleepers = Sleepers(database)

    stored = await read(database, deployment)
    keep(sleepers, stored)

    assert sleepers.recall(deployment.id) == Sleeper(stored, (StartTask(stored.live[0]),))


async def test_any_write_about_it_or_its_app_forgets_it(database: Database) -> None:
    deployment = await sleeping(database)
    sleepers = Sleepers(database)

    async def kept() -> Stored:
        stored = await read(database, deployment)
        keep(sleepers, stored)
        assert sleepers.recall(deployment.id) is not None
        return stored

    stored = await kept()
    async with database.transaction() as tx:
        await deployments.update_wishes(tx, stored.deployment, "changed")
    assert sleepers.recall(deployment.id) is None

    stored = await kept()
    async with database.transaction() as tx:
        await apps.update(tx, stored.app)
    assert sleepers.recall(deployment.id) is None

    stored = await kept()
    async with database.record() as tx:
        await move_task(tx, stored.live[0], TaskState.STARTING, now=5.0)
    assert sleepers.recall(deployment.id) is None


async def test_a_write_about_another_leaves_it(database: Database) -> None:
    deployment = await sleeping(database)
    sleepers = Sleepers(database)
    keep(sleepers, await read(database, deployment))

    await insert_app(database, "other")

    assert sleepers.recall(deployment.id) is not None


async def test_what_was_read_before_a_commit_is_not_kept_after_it(database: Database) -> None:
    deployment = await sleeping(database)
    sleepers = Sleepers(database)
    commits = sleepers.commits()
    stored = await read(database, deployment)
    await insert_task(database, deployment)

    keep(sleepers, stored, commits)

    assert sleepers.recall(deployment.id) is None


async def test_what_runs_is_not_kept(database: Database) -> None:
    deployment = await sleeping(database)
    stored = await read(database, deployment)
    async with database.record() as tx:
        await move_task(tx, stored.live[0], TaskState.STARTING, now=5.0)
    sleepers = Sleepers(database)

    keep(sleepers, await read(database, deployment))

    assert sleepers.recall(deployment.id) is None


async def test_only_the_last_few_are_kept(database: Database) -> None:
    app = await insert_app(database)
    made = [await sleeping(database, number, app) for number in range(1, MOST_KEPT + 3)]
    sleepers = Sleepers(database)

    for deployment in made:
        keep(sleepers, await read(database, deployment))

    assert [deployment for deployment in made if sleepers.recall(deployment.id)] == made[2:]
