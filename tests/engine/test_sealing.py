"""Everything is sealed, under one key, whatever an earlier life of the agent left."""

import asyncio
import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path

import msgspec
import pytest

from paas.core.errors import Conflict, StateUnusable
from paas.core.ids import AppId, DeploymentId
from paas.core.spec import Spec
from paas.core.variables import of_app
from paas.engine import sealing
from paas.engine.commands import Commands, DeployRequest, Wanted
from paas.engine.registries import credentials
from paas.engine.variables import Variables
from paas.parts import SystemClock
from paas.store import deployments, sealed, variables
from paas.store.database import Database
from paas.vault import Vault
from tests.engine.commanded import commands_over
from tests.harness import REPOSITORY

FIRST_SEALED = "0013_variables.sql"  # before it, variables stood in specs
PLAIN, DEFAULT = "opensesame-of-a-deployment", "opensesame-of-an-app"
APP, DEPLOYMENT = AppId("app-1"), DeploymentId("deployment-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A database that an agent has opened and settled."""

    database: Database
    vault: Vault
    variables: Variables
    commands: Commands


@contextlib.asynccontextmanager
async def life(folder: Path, given: Path | None = None) -> AsyncIterator[Life]:
    vault = Vault(folder / "secrets.key", credentials=given)
    async with Database.open(folder / "paas.db", check=partial(sealing.check, vault)) as database:
        await sealing.settle(database, vault, SystemClock())
        yield Life(
            database=database,
            vault=vault,
            variables=Variables(database.reader, vault),
            commands=commands_over(database, vault, folder),
        )


def raw_bytes(folder: Path) -> bytes:
    """Read all that a thief of the database has."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("paas.db*")))


def make_old_database(folder: Path) -> None:
    """Write a database as the version before had it, variables and all."""
    names = sorted(each.name for each in resources.files("paas.store.migrations").iterdir())
    steps = [name for name in names if name.endswith(".sql") and name < FIRST_SEALED]
    raw = sqlite3.connect(folder / "paas.db")
    raw.execute("PRAGMA journal_mode = WAL")
    for name in steps:
        raw.executescript(resources.files("paas.store.migrations").joinpath(name).read_text())
    raw.execute(f"PRAGMA user_version = {len(steps)}")
    default = json.dumps({"replicas": 2, "env": {"D": DEFAULT, "GONE": None}})
    raw.execute(
        "INSERT INTO apps VALUES (?, 'hello', '', 'hello', NULL, '{}', ?, '{}', 1, 1, 1, NULL)",
        (APP, default),
    )
    raw.execute("INSERT INTO environments (app_id, slug, created_at) VALUES (?, 'production', 1)", (APP,))
    spec = msgspec.to_builtins(Spec()) | {"env": {"A": PLAIN, "D": DEFAULT}}
    raw.execute(
        "INSERT INTO deployments (id, app_id, sha, version, environment, state, spec, revision, slept_at,"
        " woken_at, created_at, updated_at)"
        " VALUES (?, ?, 'abc', 1, 'production', 'active', ?, 1, 0, 0, 1, 1)",
        (DEPLOYMENT, APP, json.dumps(spec)),
    )
    raw.execute(
        "INSERT INTO idempotency_keys VALUES (?, 'k', 'digest-of-a-request', ?, 1)", (APP, DEPLOYMENT)
    )
    raw.commit()
    raw.execute("UPDATE deployments SET revision = 2")
    raw.commit()
    raw.close()


async def own_env(here: Life) -> dict[str, str]:
    found = await deployments.get(here.database.reader, DEPLOYMENT)
    assert found is not None
    return dict((await here.variables.env_of_specs([found]))[DEPLOYMENT])


async def test_variables_of_an_earlier_version_are_sealed_and_nothing_of_them_stays(tmp_path: Path) -> None:
    make_old_database(tmp_path)
    assert PLAIN.encode() in raw_bytes(tmp_path)

    async with life(tmp_path) as here:
        assert await own_env(here) == {"A": PLAIN, "D": DEFAULT}
        assert await here.variables.default_env([APP]) == {APP: {"D": DEFAULT}}
        held = raw_bytes(tmp_path)
        assert PLAIN.encode() not in held
        assert DEFAULT.encode() not in held
        assert b"digest-of-a-request" not in held
    async with life(tmp_path) as again:
        assert await own_env(again) == {"A": PLAIN, "D": DEFAULT}


async def test_a_start_that_died_before_it_overwrote_pages_is_ended_by_the_next(tmp_path: Path) -> None:
    make_old_database(tmp_path)
    async with life(tmp_path):
        pass
    raw = sqlite3.connect(tmp_path / "paas.db")
    raw.execute("PRAGMA secure_delete = OFF")
    raw.execute("INSERT INTO unsealed VALUES ('pages')")
    raw.execute("INSERT INTO events (at, kind, facts) VALUES (1, 'x', ?)", (PLAIN,))
    raw.commit()
    raw.execute("DELETE FROM events WHERE kind = 'x'")
    raw.commit()
    raw.close()
    assert PLAIN.encode() in raw_bytes(tmp_path)

    async with life(tmp_path) as here:
        assert PLAIN.encode() not in raw_bytes(tmp_path)
        assert await here.database.reader.value("SELECT count(*) FROM unsealed") == 0


async def test_a_repeated_request_is_known_by_what_nobody_can_guess_it_from(tmp_path: Path) -> None:
    async with life(tmp_path) as here:
        app = await here.commands.apps.create(name="hello", namespace="default")
        wish = DeployRequest(
            app_id=app.id,
            environment="production",
            spec=Spec(),
            env={"A": PLAIN},
            key="k",
            request_sha256="digest-of-this",
        )

        first = await here.commands.deployments.deploy(wish)
        again = await here.commands.deployments.deploy(wish)

        assert again.id == first.id
        held = raw_bytes(tmp_path)
        assert b"digest-of-this" not in held
        assert PLAIN.encode() not in held


async def test_every_sealed_column_of_the_schema_is_listed(tmp_path: Path) -> None:
    async with life(tmp_path) as here:
        found = await here.database.reader.all(
            'SELECT t.name AS "table", c.name AS "column", c.type AS kind FROM sqlite_schema t'
            " JOIN pragma_table_info(t.name) c WHERE t.type = 'table'"
        )

    boxes = {(row["table"], row["column"]) for row in found if row["kind"] == "BLOB"}
    keyed = {(row["table"], row["column"]) for row in found if row["column"].endswith("key_id")}
    assert boxes == {(each.table, each.box) for each in sealed.COLUMNS}
    assert keyed == {(each.table, each.key_id) for each in sealed.COLUMNS}


@pytest.mark.parametrize("lost", [True, False])
async def test_a_lost_or_wrong_key_is_named_before_anything_is_written(tmp_path: Path, *, lost: bool) -> None:
    async with life(tmp_path) as here:
        await here.commands.apps.create(
            name="hello", namespace="default", default_deployment_spec={"env": {"A": PLAIN}}
        )
    key = tmp_path / "secrets.key"
    key.unlink()
    if not lost:
        key.touch(0o600)
        key.write_text("0" * 64)
    before = (tmp_path / "paas.db").read_bytes()

    with pytest.raises(StateUnusable, match="cannot read the secrets in the database"):
        async with life(tmp_path):
            pass

    assert (tmp_path / "paas.db").read_bytes() == before


async def set_some(here: Life, count: int = 30) -> AppId:
    app = await here.commands.apps.create(name="hello", namespace="default")
    values = {f"NAME_{number}": f"value {number}" for number in range(count)}
    await here.commands.variables.put(of_app(app.id), Wanted(values=values, secret=True))
    await here.commands.registries.put("ghcr.io", username="ann", password=PLAIN)
    return app.id


async def check_some(here: Life, app_id: AppId, count: int = 30) -> None:
    """See that all is there, under one key that the file has."""
    boxes = await variables.of_owners(here.database.reader, [of_app(app_id)])
    wanted = {f"NAME_{number}": f"value {number}" for number in range(count)}
    assert here.variables.env_of(boxes) == wanted
    assert await credentials(here.database.reader, here.vault, "ghcr.io") == ("ann", PLAIN)
    assert await sealed.key_ids(here.database.reader) == {here.vault.keys.sealing_id}


async def test_all_is_sealed_with_another_key_and_the_old_one_opens_nothing(tmp_path: Path) -> None:
    async with life(tmp_path) as here:
        app_id = await set_some(here)
        shutil.copy(tmp_path / "secrets.key", tmp_path / "old.key")
        assert await here.commands.secrets.rotate_key() == 31
        await check_some(here, app_id)
        assert not (tmp_path / "secrets.key.next").exists()
        assert (tmp_path / "secrets.key").stat().st_mode & 0o777 == 0o600
    async with life(tmp_path) as again:
        await check_some(again, app_id)

    shutil.copy(tmp_path / "old.key", tmp_path / "secrets.key")
    with pytest.raises(StateUnusable, match="is not the key of all of them"):
        async with life(tmp_path):
            pass


async def test_what_is_sealed_while_the_key_changes_is_sealed_with_the_new_one_in_the_end(
    tmp_path: Path,
) -> None:
    async with life(tmp_path) as here:
        app_id = await set_some(here, 0)
        await asyncio.gather(
            *(
                here.commands.variables.put(of_app(app_id), Wanted(values={f"NAME_{n}": f"value {n}"}))
                for n in range(30)
            ),
            *(here.commands.secrets.rotate_key() for _ in range(10)),
        )
        await check_some(here, app_id)
    async with life(tmp_path) as again:
        await check_some(again, app_id)


@pytest.mark.parametrize("committed", [True, False])
async def test_a_change_of_the_key_that_was_cut_off_is_ended_by_the_next_start(
    tmp_path: Path, *, committed: bool
) -> None:
    key, following = tmp_path / "secrets.key", tmp_path / "secrets.key.next"
    async with life(tmp_path) as here:
        app_id = await set_some(here)
        old = key.read_text()
        await here.vault.keys.add_new()
        if committed:
            await here.commands.secrets.rotate_key()
    if committed:  # and not yet made the only one
        key.rename(following)
        key.touch(0o600)
        key.write_text(old)
    new = following.read_text()

    async with life(tmp_path) as here:
        await check_some(here, app_id)

    assert (key.read_text(), following.exists()) == (new, False)


ROTATE_ON = """
import asyncio, sys, time
from pathlib import Path
from types import SimpleNamespace
from paas.engine import sealing
from paas.store.database import Database
from paas.vault import Vault
async def main(folder: Path) -> None:
    clock = SimpleNamespace(now=time.time)
    vault = Vault(folder / "secrets.key")
    async with Database.open(folder / "paas.db") as database:
        await sealing.settle(database, vault, clock)
        for number in range(1000):
            print(number, flush=True)
            await sealing.change_key(database, vault, clock)
asyncio.run(main(Path(sys.argv[1])))
"""


async def test_a_kill_at_any_moment_of_a_change_loses_nothing(tmp_path: Path) -> None:
    async with life(tmp_path) as here:
        app_id = await set_some(here)
    for round_ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", ROTATE_ON, str(tmp_path)],
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
            text=True,
        )
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline()
        await asyncio.sleep(0.006 * round_)  # into the next change, a little further each time
        process.kill()
        process.wait()
        process.stdout.close()

        async with life(tmp_path) as here:
            await check_some(here, app_id)


async def test_a_key_that_systemd_keeps_is_changed_with_its_old_one_beside_it(tmp_path: Path) -> None:
    given = tmp_path / "credentials"
    given.mkdir()
    (given / "paas-key").write_text("1" * 64)
    async with life(tmp_path, given) as here:
        app_id = await set_some(here)
        with pytest.raises(Conflict, match="systemd") as refused:
            await here.commands.secrets.rotate_key()
        assert "paas-key-old" in (refused.value.hint or "")
    (given / "paas-key").write_text("2" * 64)
    with pytest.raises(StateUnusable, match="is not the key of all of them"):
        async with life(tmp_path, given):
            pass

    (given / "paas-key-old").write_text("1" * 64)
    async with life(tmp_path, given) as here:
        await check_some(here, app_id)
    (given / "paas-key-old").unlink()
    async with life(tmp_path, given) as here:
        await check_some(here, app_id)
    assert not (tmp_path / "secrets.key").exists()


async def test_without_its_key_a_database_of_an_earlier_version_is_left_as_it_is(tmp_path: Path) -> None:
    make_old_database(tmp_path)
    path = tmp_path / "paas.db"
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute("INSERT INTO registries VALUES ('ghcr.io', 'ann', 'another', x'00', 0, 0)")
        raw.commit()
    before = path.read_bytes()

    with pytest.raises(StateUnusable, match="cannot read the secrets in the database"):
        async with life(tmp_path):
            pass

    assert path.read_bytes() == before
