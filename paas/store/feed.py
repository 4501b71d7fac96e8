"""The event feed: the table is the truth, a flag says "there is more"."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping

import msgspec

from paas.core.ids import AppId, DeploymentId, TaskId
from paas.core.model import Event
from paas.store.database import Database, Reader, Tx

PAGE = 200


async def append(
    tx: Tx,
    kind: str,
    *,
    at: float,
    app_id: AppId | None = None,
    deployment_id: DeploymentId | None = None,
    task_id: TaskId | None = None,
    reason: str | None = None,
    facts: Mapping[str, object] | None = None,
) -> None:
    """Add an event to the caller's transaction; followers hear of it after the commit."""
    await tx.write(
        "INSERT INTO events (at, kind, app_id, deployment_id, task_id, reason, facts)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (at, kind, app_id, deployment_id, task_id, reason, msgspec.json.encode(facts or {}).decode()),
    )
    tx.touched.update(name for name in (app_id, deployment_id, kind) if name is not None)


class Feed:
    """Reads events after a sequence number, and waits for more."""

    def __init__(self, database: Database) -> None:
        self._reader = database.reader
        self._more = asyncio.Event()
        database.after_commit.append(self._announce)

    def _announce(self, _touched: frozenset[str]) -> None:
        self._more.set()
        self._more = asyncio.Event()

    async def last_seq(self) -> int:
        value = await self._reader.value("SELECT max(seq) FROM events")
        return int(value or 0)

    async def after(
        self,
        seq: int,
        *,
        app_id: AppId | None = None,
        deployment_id: DeploymentId | None = None,
        limit: int = PAGE,
    ) -> list[Event]:
        """Read up to `limit` events after `seq`, oldest first."""
        return await read(self._reader, seq, app_id=app_id, deployment_id=deployment_id, limit=limit)

    async def follow(
        self, seq: int, *, app_id: AppId | None = None, deployment_id: DeploymentId | None = None
    ) -> AsyncIterator[Event]:
        """Yield every event after `seq`, for ever. A slow follower loses nothing."""
        while True:
            more = self._more  # taken before the read, so that nothing falls between
            events = await self.after(seq, app_id=app_id, deployment_id=deployment_id)
            for event in events:
                yield event
                seq = event.seq
            if not events:
                await more.wait()


async def read(
    reader: Reader,
    seq: int,
    *,
    app_id: AppId | None,
    deployment_id: DeploymentId | None,
    limit: int,
    newest_first: bool = False,
) -> list[Event]:
    """Read up to `limit` events after a sequence number, or before it, newest first."""
    where = ["seq < ?" if newest_first else "seq > ?"]
    conditions: list[str | int] = [seq]
    if app_id is not None:
        where.append("app_id = ?")
        conditions.append(app_id)
    if deployment_id is not None:
        where.append("deployment_id = ?")
        conditions.append(deployment_id)
    rows = await reader.all(
        "SELECT seq, at, kind, app_id, deployment_id, task_id, reason, facts FROM events"
        f" WHERE {' AND '.join(where)} ORDER BY seq {'DESC' if newest_first else 'ASC'} LIMIT ?",
        (*conditions, limit),
    )
    return [_event(row) for row in rows]


async def delete_old(tx: Tx, *, keep: int) -> None:
    """Delete the oldest events beyond a number."""
    await tx.write("DELETE FROM events WHERE seq <= (SELECT max(seq) FROM events) - ?", (keep,))


def _event(row: sqlite3.Row) -> Event:
    return Event(
        seq=row["seq"],
        at=row["at"],
        kind=row["kind"],
        app_id=row["app_id"],
        deployment_id=row["deployment_id"],
        task_id=row["task_id"],
        reason=row["reason"],
        facts=msgspec.json.decode(row["facts"], type=dict[str, object]),
    )
