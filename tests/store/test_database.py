"""Transactions: isolated, all or nothing, sharing commits, refusing what they do not know."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from paas.core.errors import Stale, StateUnusable, Unavailable
from paas.store import apps
from paas.store.database import Database, Tx
from tests.store.records import app, insert_app

WRITER = """
import asyncio, sys
from pathlib import Path
from paas.store.database import Database
from tests.store.records import insert_app
async def main() -> None:
    async with Database.open(Path(sys.argv[1])) as database:
        for number in range(100000):
            await insert_app(database, f"app{number}")
            print(number, flush=True)
asyncio.run(main())
"""


async def count(database: Database) -> int:
    return int(await database.reader.value("SELECT count(*) FROM apps") or 0)


async def test_a_failed_transaction_leaves_no_trace(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as tx:
            await apps.insert(tx, app())
            raise ZeroDivisionError

    assert await count(database) == 0


async def test_nobody_sees_a_write_before_its_commit(database: Database) -> None:
    async with database.transaction() as tx:
        await apps.insert(tx, app())

        assert await count(database) == 0
    assert await count(database) == 1


async def test_the_reader_cannot_write(database: Database) -> None:
    with pytest.raises(Unavailable, match="readonly"):
        await Tx(database.reader._connection).write("DELETE FROM apps")


async def test_a_failure_among_others_that_share_a_commit_undoes_only_itself(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.transaction() as tx:
            await apps.insert(tx, app(f"app{number}"))
            if number % 3 == 0:
                raise ZeroDivisionError

    results = await asyncio.gather(*(write(number) for number in range(60)), return_exceptions=True)

    assert sum(isinstance(result, ZeroDivisionError) for result in results) == 20
    assert await count(database) == 40


async def test_who_is_refused_for_what_another_wrote_finds_it_when_it_reads_again(database: Database) -> None:
    """However many wait to share the commit: else it would be refused again and again."""
    has_read = asyncio.Event()

    async def move() -> None:
        async with database.record() as tx:
            await apps.insert(tx, app())

    async def come_second() -> int:
        with pytest.raises(Stale):
            async with database.record() as tx:
                assert await tx.value("SELECT count(*) FROM apps") == 1
                raise Stale("somebody else moved it first")
        found = await count(database)
        has_read.set()
        return found

    async def wait_to_share() -> None:
        async with database.record():
            await has_read.wait()

    _, found, _ = await asyncio.gather(move(), come_second(), wait_to_share())

    assert found == 1


async def test_writers_at_the_same_time_share_commits(database: Database) -> None:
    commits = 0

    def trace(statement: str) -> None:
        nonlocal commits
        commits += statement == "COMMIT"

    await database._writing.set_trace_callback(trace)

    await asyncio.gather(*(insert_app(database, f"app{number}") for number in range(64)))

    assert await count(database) == 64
    assert commits < 16


async def test_a_writer_that_is_cancelled_in_the_queue_does_not_hold_up_the_others(
    database: Database,
) -> None:
    for round_ in range(30):
        async with asyncio.timeout(10):
            writers = [asyncio.ensure_future(insert_app(database, f"r{round_}n{n}")) for n in range(5)]  # noqa: TID251 - to cancel one
            for _ in range(round_):
                await asyncio.sleep(0)
            writers[round_ % 5].cancel()
            results = await asyncio.gather(*writers, return_exceptions=True)
        done = {f"r{round_}n{n}" for n, result in enumerate(results) if not isinstance(result, BaseException)}
        assert len(done) >= 4
        there = await database.reader.all("SELECT name FROM apps WHERE name LIKE ?", (f"r{round_}n%",))
        assert done <= {row["name"] for row in there}
    await insert_app(database, "last")

    assert await database.reader.value("SELECT 1 FROM apps WHERE name = 'last'") == 1


async def test_engine_records_and_commands_mix(database: Database) -> None:
    async def record(number: int) -> None:
        async with database.record() as tx:
            await apps.insert(tx, app(f"record{number}"))

    await asyncio.gather(*(record(n) if n % 2 else insert_app(database, f"app{n}") for n in range(40)))

    assert await count(database) == 40


async def test_what_is_acknowledged_is_synced_and_what_the_engine_notes_is_not(database: Database) -> None:
    full, normal = 2, 1  # PRAGMA synchronous
    for _ in range(2):
        async with database.transaction() as tx:
            assert await tx.value("PRAGMA synchronous") == full
        async with database.record() as tx:
            assert await tx.value("PRAGMA synchronous") == normal


async def test_a_newer_database_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "paas.db"
    async with Database.open(path) as database:
        await insert_app(database)
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 999")
    raw.close()

    with pytest.raises(StateUnusable, match="version 999"):
        async with Database.open(path):
            pass

    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (999,)
        assert raw.execute("SELECT count(*) FROM apps").fetchone() == (1,)
    raw.close()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "paas.db"
    path.write_bytes(b"something else" * 1000)

    with pytest.raises(StateUnusable, match="not a database"):
        async with Database.open(path):
            pass

    assert path.read_bytes() == b"something else" * 1000


async def test_what_was_acknowledged_survives_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "paas.db"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, env={**os.environ}
    ) as writer:
        assert writer.stdout is not None
        acknowledged = -1
        for line in writer.stdout:
            acknowledged = int(line)
            if acknowledged >= 50:
                writer.send_signal(signal.SIGKILL)
                break
        acknowledged = max([acknowledged, *(int(line) for line in writer.stdout)])

    async with Database.open(path) as database:
        found = {row["name"] for row in await database.reader.all("SELECT name FROM apps")}
    assert found >= {f"app{number}" for number in range(acknowledged + 1)}
    assert len(found) <= acknowledged + 2


async def test_a_full_disk_is_said_and_loses_nothing(database: Database) -> None:
    await insert_app(database, "before")
    await database._writing.execute_fetchall("PRAGMA max_page_count = 40")

    with pytest.raises(Unavailable, match="full"):
        async with database.transaction() as tx:
            for number in range(1000):
                await apps.insert(tx, app(f"app{number}"))

    await database._writing.execute_fetchall("PRAGMA max_page_count = 100000")
    await insert_app(database, "after")
    names = {row["name"] for row in await database.reader.all("SELECT name FROM apps")}
    assert names == {"before", "after"}
