"""Every place of the database that holds something sealed. A test compares the list with the schema."""

from collections.abc import Iterable

from paas.core.model import Sealed
from paas.core.records import dataclass
from paas.store.database import Reader, Tx, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedColumn:
    """A column of boxes, and what a box of it is bound to."""

    table: str
    box: str
    key_id: str = "key_id"  # the column that names its key
    identity: tuple[str, ...]  # the columns that name a row
    owner: str  # SQL
    name: str  # SQL


COLUMNS = (
    SealedColumn(
        table="registries", box="sealed_password", identity=("host",), owner="'registry'", name="host"
    ),
    SealedColumn(
        table="variables", box="sealed_value", identity=("owner", "name"), owner="owner", name="name"
    ),
    SealedColumn(table="former_secrets", box="sealed_value", identity=("id",), owner="owner", name="name"),
    SealedColumn(
        table="idempotency_keys",
        box="sealed_request",
        identity=("app_id", "key"),
        owner="'request:' || app_id",
        name="key",
    ),
    SealedColumn(
        table="source_configs",
        box="sealed_token",
        key_id="token_key_id",
        identity=("app_id",),
        owner="'git-token'",
        name="app_id",
    ),
    SealedColumn(
        table="source_configs",
        box="sealed_secret",
        key_id="secret_key_id",
        identity=("app_id",),
        owner="'webhook-secret'",
        name="app_id",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBox:
    """A box, where it is, and what it is bound to."""

    column: SealedColumn
    row: tuple[Value, ...]
    owner: str
    name: str
    sealed: Sealed


async def key_ids(reader: Reader) -> set[str]:
    """Name every key that something is sealed with, also in a file that an earlier version wrote."""
    there = await reader.all(
        "SELECT t.name, c.name AS part FROM sqlite_schema t, pragma_table_info(t.name) c"
    )
    known = {(row["name"], row["part"]) for row in there}
    each = [
        f"SELECT {column.key_id} AS key_id FROM {column.table} WHERE {column.key_id} IS NOT NULL"
        for column in COLUMNS
        if (column.table, column.key_id) in known
    ]
    if not each:
        return set()
    return {row["key_id"] for row in await reader.all(" UNION ".join(each))}


async def sealed_otherwise(reader: Reader, key_id: str | None) -> list[FoundBox]:
    """Find all that is sealed with another key than this."""
    found = []
    for column in COLUMNS:
        rows = await reader.all(
            f"SELECT {', '.join(column.identity)}, {column.owner} AS bound_owner,"
            f" {column.name} AS bound_name, {column.key_id} AS sealed_by, {column.box} AS box"
            f" FROM {column.table}"
            f" WHERE {column.key_id} IS NOT NULL AND {column.key_id} IS NOT ?",
            (key_id,),
        )
        found += [
            FoundBox(
                column=column,
                row=tuple(row[: len(column.identity)]),
                owner=row["bound_owner"],
                name=row["bound_name"],
                sealed=Sealed(key_id=row["sealed_by"], box=row["box"]),
            )
            for row in rows
        ]
    return found


async def replace(tx: Tx, boxes: Iterable[tuple[FoundBox, Sealed]]) -> None:
    """Put other boxes in the place of those that were found. The caller adds the event that says so."""
    for found, sealed in boxes:
        column = found.column
        where = " AND ".join(f"{name} = ?" for name in column.identity)
        await tx.write(
            f"UPDATE {column.table} SET {column.key_id} = ?, {column.box} = ? WHERE {where}",
            (sealed.key_id, sealed.box, *found.row),
        )
