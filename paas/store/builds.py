"""SQL about builds, and about what they leave in the engine."""

from collections.abc import Iterable

from paas.core.ids import AppId, BuildId
from paas.core.model import Build
from paas.core.states import UNFINISHED_BUILD
from paas.store import feed, rows
from paas.store.database import Reader, Tx

UNFINISHED = "(" + ", ".join(f"'{state}'" for state in sorted(UNFINISHED_BUILD)) + ")"


async def insert(tx: Tx, build: Build) -> None:
    await tx.write(
        f"INSERT INTO builds ({rows.BUILD_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            build.id,
            build.app_id,
            build.state,
            build.reason,
            rows.to_json(build.options),
            build.context_sha256,
            build.context_bytes,
            build.image,
            build.image_id,
            build.image_bytes,
            build.created_at,
            build.started_at,
            build.ended_at,
            build.updated_at,
        ),
    )
    await feed.append(
        tx,
        f"build.{build.state}",
        at=build.created_at,
        app_id=build.app_id,
        facts={"build_id": build.id, "context_bytes": build.context_bytes},
    )


async def get(reader: Reader, build_id: BuildId) -> Build | None:
    row = await reader.one(f"SELECT {rows.BUILD_COLUMNS} FROM builds WHERE id = ?", (build_id,))
    return None if row is None else rows.build(row)


async def page(reader: Reader, *, app_id: AppId | None, limit: int, offset: int) -> tuple[list[Build], int]:
    """List builds, newest first, with their total number."""
    where, values = ("TRUE", ()) if app_id is None else ("app_id = ?", (app_id,))
    found = await reader.all(
        f"SELECT {rows.BUILD_COLUMNS} FROM builds WHERE {where}"
        " ORDER BY created_at DESC, id LIMIT ? OFFSET ?",
        (*values, limit, offset),
    )
    total = await reader.value(f"SELECT count(*) FROM builds WHERE {where}", values)
    return [rows.build(row) for row in found], int(total or 0)


async def unfinished(reader: Reader) -> list[Build]:
    """List what is to be done, in its order: builds that had begun, then the oldest."""
    found = await reader.all(
        f"SELECT {rows.BUILD_COLUMNS} FROM builds WHERE state IN {UNFINISHED}"
        " ORDER BY state = 'queued', created_at, id"
    )
    return [rows.build(row) for row in found]


async def unfinished_of(reader: Reader, app_id: AppId) -> list[Build]:
    found = await reader.all(
        f"SELECT {rows.BUILD_COLUMNS} FROM builds WHERE app_id = ? AND state IN {UNFINISHED}", (app_id,)
    )
    return [rows.build(row) for row in found]


async def ids_known(reader: Reader) -> set[BuildId]:
    return {row["id"] for row in await reader.all("SELECT id FROM builds")}


async def images_in_use(reader: Reader, *, ended_after: float) -> set[str]:
    """Name the images that deployments refer to, and the ids of builds whose images are too new to go."""
    found = await reader.all(
        "SELECT image AS name FROM deployments WHERE image IS NOT NULL"
        " UNION SELECT spec ->> '$.image' FROM deployments WHERE spec ->> '$.image' IS NOT NULL"
        f" UNION SELECT id FROM builds WHERE state IN {UNFINISHED} OR ended_at > ?",
        (ended_after,),
    )
    return {row["name"] for row in found}


async def delete_ended(tx: Tx, *, keep_per_app: int) -> None:
    """Delete the oldest ended builds beyond a number per app."""
    await tx.write(
        "DELETE FROM builds WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER"
        " (PARTITION BY app_id ORDER BY ended_at DESC) AS place FROM builds"
        " WHERE ended_at IS NOT NULL) WHERE place > ?)",
        (keep_per_app,),
    )


async def note_layer(tx: Tx, image_id: str, *, now: float) -> None:
    """Remember that a build of ours made a nameless image."""
    await tx.write(
        "INSERT INTO build_layers (image_id, made_at) VALUES (?, ?) ON CONFLICT DO NOTHING", (image_id, now)
    )


async def old_layers(reader: Reader, *, before: float) -> list[str]:
    """List what builds left that was made before a moment, newest first: none is below one before it."""
    found = await reader.all(
        "SELECT image_id FROM build_layers WHERE made_at < ? ORDER BY place DESC", (before,)
    )
    return [row["image_id"] for row in found]


async def forget_layers(tx: Tx, image_ids: Iterable[str]) -> None:
    for image_id in image_ids:
        await tx.write("DELETE FROM build_layers WHERE image_id = ?", (image_id,))
