"""SQLite: one connection that reads, one that writes, and commits shared by whoever waits.

`transaction()` is for what somebody is told: it returns after a synced commit (FULL).
`record()` is for what the engine notes about its own acts: it returns after a commit that a
killed agent keeps and a power cut may take (NORMAL), when no process is left to describe.
Both join the commit of others that wait for the writer at the same time.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path

import aiosqlite

from paas.core.errors import StateUnusable, Unavailable
from paas.core.records import dataclass, field

_CACHE_KIB = 256  # a connection; the kernel keeps the pages as well, and SQLite's 2 MiB measured no faster
LARGEST_GROUP = 128  # transactions that share one commit
Value = str | int | float | bytes | None


class Reader:
    """Reads committed data. What the API is given, so that it cannot write."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def all(self, sql: str, values: Sequence[Value] = ()) -> list[sqlite3.Row]:
        with _translated("read"):
            return list(await self._connection.execute_fetchall(sql, values))

    async def one(self, sql: str, values: Sequence[Value] = ()) -> sqlite3.Row | None:
        rows = await self.all(sql, values)
        return rows[0] if rows else None

    async def value(self, sql: str, values: Sequence[Value] = ()) -> Value:
        row = await self.one(sql, values)
        return row[0] if row is not None else None


Check = Callable[[Reader], Awaitable[None]]


class Tx(Reader):
    """One transaction on the writer; reads its own writes."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        super().__init__(connection)
        self.touched: set[str] = set()  # ids of apps and deployments written about, and what happened

    async def write(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Run one statement and return how many rows it changed."""
        with _translated("write"):
            cursor = await self._connection.execute(sql, values)  # done when it returns: nothing to close
        return cursor.rowcount


@dataclass(slots=True)
class _Group:
    """Transactions that share one commit."""

    synced: bool
    members: int = 0
    touched: set[str] = field(default_factory=set)
    committed: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Database:
    def __init__(self, reading: aiosqlite.Connection, writing: aiosqlite.Connection) -> None:
        self.reader = Reader(reading)
        self.after_commit: list[Callable[[frozenset[str]], None]] = []  # given what was touched
        self._writing = writing
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._group: _Group | None = None
        self._synced: bool | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, path: Path, check: Check | None = None) -> AsyncIterator["Database"]:
        """Open, migrate forward and close again. Raises StateUnusable on a newer or broken file.

        `check` may refuse a file before anything is written to it. It reads what any earlier version left.
        """
        async with _connect(path) as writing:
            await _migrate(writing, path, check)
            async with _connect(path) as reading:
                await reading.execute_fetchall("PRAGMA query_only = ON")
                for connection in (reading, writing):
                    await connection.execute_fetchall(f"PRAGMA cache_size = -{_CACHE_KIB}")
                yield cls(reading, writing)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """Write something that somebody is told: durable against a power cut once this returns."""
        async with self._join(synced=True) as tx:
            yield tx

    @contextlib.asynccontextmanager
    async def record(self) -> AsyncIterator[Tx]:
        """Note what the engine did: durable against a killed agent once this returns."""
        async with self._join(synced=False) as tx:
            yield tx

    async def overwrite_deleted(self) -> None:
        """Leave nothing on the file's pages of what was deleted or replaced; seconds for a large file.

        Raises Unavailable where the disk has no room for another copy.
        """
        await self._acquire()
        try:
            await self._commit()
            with _translated("tidy"):
                await self._writing.execute("VACUUM")
                await self._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._lock.release()

    @contextlib.asynccontextmanager
    async def _join(self, *, synced: bool) -> AsyncIterator[Tx]:
        await self._acquire()
        try:
            group = await self._open_group(synced=synced)
            is_first = not group.members  # whose undoing is that of the whole
            tx = Tx(self._writing)
            if not is_first:
                await tx.write("SAVEPOINT member")
            yield tx
            if not is_first:
                await tx.write("RELEASE member")
            group.members += 1
            group.touched |= tx.touched
        except BaseException:
            await asyncio.shield(self._undo_and_leave())
            raise
        await asyncio.shield(self._leave())
        await asyncio.shield(group.committed)

    async def _acquire(self) -> None:
        self._waiting += 1
        try:
            await self._lock.acquire()
        except asyncio.CancelledError:
            self._waiting -= 1
            if self._group is not None and not self._waiting and not self._lock.locked():
                # The group was left open for us: nobody else will commit it.
                await self._lock.acquire()
                await asyncio.shield(self._leave())
            raise
        self._waiting -= 1

    async def _open_group(self, *, synced: bool) -> _Group:
        if self._group is not None and (self._group.synced is not synced or not self._writing.in_transaction):
            await self._commit()
        if self._group is None:
            with _translated("write"):
                if self._synced is synced:
                    await self._writing.execute("BEGIN IMMEDIATE")
                else:
                    await self._writing.executescript(
                        f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}; BEGIN IMMEDIATE"
                    )
                    self._synced = synced
            self._group = _Group(synced=synced)
        return self._group

    async def _undo_and_leave(self) -> None:
        """Undo one member. A cancelled statement was still run: what follows it here undoes it too.

        The others are committed at once: a member that was refused for what they wrote is to find it when
        it reads again. Two that come again as long as they do not would keep the group open for ever.
        """
        undo: tuple[str, ...] = ("ROLLBACK TO member", "RELEASE member")
        if self._group is None or not self._group.members:
            self._group = None
            undo = ("ROLLBACK",)
        try:
            with contextlib.suppress(sqlite3.OperationalError):  # not begun, or undone by SQLite (disk full)
                for statement in undo:
                    await self._writing.execute(statement)
            await self._commit()
        finally:
            self._lock.release()

    async def _leave(self) -> None:
        """Commit, unless the next transaction already waits and can share the commit."""
        try:
            group = self._group
            if group is not None and (not self._waiting or group.members >= LARGEST_GROUP):
                await self._commit()
        finally:
            self._lock.release()

    async def _commit(self) -> None:
        group = self._group
        if group is None:
            return
        self._group = None
        try:
            with _translated("write"):
                await self._writing.execute("COMMIT")  # fails if SQLite undid the transaction by itself
        except (Unavailable, sqlite3.Error) as error:
            with contextlib.suppress(sqlite3.Error):
                await self._writing.rollback()
            group.committed.set_exception(error)
            group.committed.exception()  # all members may be gone; that is not an error of its own
            return
        group.committed.set_result(None)
        touched = frozenset(group.touched)
        for callback in self.after_commit:
            callback(touched)


@contextlib.asynccontextmanager
async def _connect(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    async with aiosqlite.connect(path, isolation_level=None, cached_statements=256) as connection:
        connection.row_factory = sqlite3.Row
        await connection.execute_fetchall("PRAGMA busy_timeout = 5000")
        await connection.execute_fetchall("PRAGMA foreign_keys = ON")
        yield connection


async def _migrate(connection: aiosqlite.Connection, path: Path, check: Check | None) -> None:
    steps = sorted(
        (item for item in resources.files("paas.store.migrations").iterdir() if item.name.endswith(".sql")),
        key=lambda item: item.name,
    )
    try:
        ((version,),) = await connection.execute_fetchall("PRAGMA user_version")
        if version > len(steps):
            raise StateUnusable(
                f"cannot use {path}: it has schema version {version}, this program knows {len(steps)}",
                hint="install the newer version of the agent again, or point --state elsewhere",
            )
        if version and check is not None:
            await check(Reader(connection))
        await connection.execute_fetchall("PRAGMA journal_mode = WAL")
        if missing := [step.read_text(encoding="utf-8") for step in steps[version:]]:
            sql = "; ".join([*missing, f"PRAGMA user_version = {len(steps)}"])
            await connection.executescript(f"BEGIN IMMEDIATE; {sql}; COMMIT")
    except sqlite3.DatabaseError as error:
        raise StateUnusable(f"cannot use {path}: {error}") from error


@contextlib.contextmanager
def _translated(verb: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unavailable(
            f"cannot {verb} the database: {error}", hint="free some disk space and ask again"
        ) from error
