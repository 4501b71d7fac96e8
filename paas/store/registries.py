"""SQL about the registries of private images."""

import sqlite3

from paas.core.model import Registry, Sealed
from paas.store import feed
from paas.store.database import Reader, Tx

_COLUMNS = "host, username, created_at, updated_at"


async def put(tx: Tx, registry: Registry, password: Sealed) -> Registry:
    """Add a registry, or replace its user and password; returns it as it is now."""
    row = await tx.one(
        f"INSERT INTO registries ({_COLUMNS}, key_id, sealed_password) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (host) DO UPDATE SET username = excluded.username, key_id = excluded.key_id,"
        " sealed_password = excluded.sealed_password, updated_at = excluded.updated_at"
        f" RETURNING {_COLUMNS}",
        (
            registry.host,
            registry.username,
            registry.created_at,
            registry.updated_at,
            password.key_id,
            password.box,
        ),
    )
    await feed.append(
        tx,
        "registry.set",
        at=registry.updated_at,
        facts={"host": registry.host, "username": registry.username},
    )
    return registry if row is None else _registry(row)


async def get(reader: Reader, host: str) -> Registry | None:
    row = await reader.one(f"SELECT {_COLUMNS} FROM registries WHERE host = ?", (host,))
    return None if row is None else _registry(row)


async def login(reader: Reader, host: str) -> tuple[str, Sealed] | None:
    """Read who we are at a registry, and the password that says so."""
    row = await reader.one("SELECT username, key_id, sealed_password FROM registries WHERE host = ?", (host,))
    if row is None:
        return None
    return row["username"], Sealed(key_id=row["key_id"], box=row["sealed_password"])


async def page(reader: Reader, *, limit: int, offset: int) -> tuple[list[Registry], int]:
    """List registries by host, with their total number."""
    found = await reader.all(
        f"SELECT {_COLUMNS} FROM registries ORDER BY host LIMIT ? OFFSET ?", (limit, offset)
    )
    return [_registry(row) for row in found], int(await reader.value("SELECT count(*) FROM registries") or 0)


async def delete(tx: Tx, host: str, *, now: float) -> bool:
    """Forget a registry; False if it is not known."""
    if not await tx.write("DELETE FROM registries WHERE host = ?", (host,)):
        return False
    await feed.append(tx, "registry.deleted", at=now, facts={"host": host})
    return True


def _registry(row: sqlite3.Row) -> Registry:
    return Registry(
        host=row["host"],
        username=row["username"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
