"""SQL about builds, and about what they leave in the engine."""

from collections.abc import Iterable, Mapping

from paas.core.builds import DOCKERFILE, Build
from paas.core.errors import Stale
from paas.core.ids import AppId, BuildId
from paas.core.states import UNFINISHED_BUILD, BuildState
from paas.store import feed, rows
from paas.store.database import Reader, Tx

UNFINISHED = "(" + ", ".join(f"'{state}'" for state in sorted(UNFINISHED_BUILD)) + ")"


async def insert(tx: Tx, build: Build) -> None:
    await tx.write(
        f"INSERT INTO builds ({rows.BUILD_COLUMNS}) VALUES ({', '.join('?' * 20)})",
        (
            build.id,
            build.app_id,
            build.state,
            build.reason,
            rows.to_json(build.source),
            rows.to_json(build.options),
            build.environment,
            None if build.rollout is None else rows.to_json(build.rollout),
            build.recipe,
            build.fingerprint,
            build.reused_build_id,
            build.artifact_id,
            build.image,
            build.image_id,
            build.image_bytes,
            build.deployment_id,
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
        facts={"build_id": build.id, "source": build.source.kind, "environment": build.environment},
    )


async def note_commit(tx: Tx, build: Build, *, now: float) -> None:
    """Write which commit a running build has fetched. Raises Stale if it does not run any more."""
    await _note(tx, build, {"source": rows.to_json(build.source)}, now=now)
    await feed.append(
        tx,
        "build.fetched",
        at=now,
        app_id=build.app_id,
        facts={"build_id": build.id, "commit": build.source.commit},
    )


async def note_recipe(tx: Tx, build: Build, *, now: float) -> None:
    """Write how a running build goes on. Raises Stale if it does not run any more."""
    await _note(tx, build, {"recipe": build.recipe, "fingerprint": build.fingerprint}, now=now)
    await feed.append(
        tx,
        "build.detected",
        at=now,
        app_id=build.app_id,
        facts={"build_id": build.id, "recipe": build.recipe},
    )


async def _note(tx: Tx, build: Build, columns: Mapping[str, str | None], *, now: float) -> None:
    assignments = ", ".join(f"{name} = ?" for name in columns)
    changed = await tx.write(
        f"UPDATE builds SET {assignments}, updated_at = ? WHERE id = ? AND state = 'running'",
        (*columns.values(), now, build.id),
    )
    if not changed:
        raise Stale(f"cannot describe build {build.id}: it is no longer running")


async def get(reader: Reader, build_id: BuildId) -> Build | None:
    row = await reader.one(f"SELECT {rows.BUILD_COLUMNS} FROM builds WHERE id = ?", (build_id,))
    return None if row is None else rows.build(row)


async def page(
    reader: Reader,
    *,
    app_id: AppId | None = None,
    state: BuildState | None = None,
    limit: int,
    offset: int,
) -> tuple[list[Build], int]:
    """List builds of all apps or one, in all states or one, newest first, with their total number."""
    wanted = {name: value for name, value in (("app_id", app_id), ("state", state)) if value is not None}
    where = " AND ".join([f"{name} = ?" for name in wanted] or ["TRUE"])
    values = tuple(wanted.values())
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


async def finished_like(reader: Reader, build: Build) -> list[Build]:
    """List the app's builds that made something of the same source in the same way, newest first."""
    found = await reader.all(
        f"SELECT {rows.BUILD_COLUMNS} FROM builds WHERE app_id = ? AND fingerprint = ?"
        " AND state = 'succeeded' ORDER BY ended_at DESC",
        (build.app_id, build.fingerprint),
    )
    return [rows.build(row) for row in found]


async def maker_of(reader: Reader, app_id: AppId, made: str) -> BuildId | None:
    """Name the newest build of an app that came to this artifact or image, of which `made` is the id."""
    value = await reader.value(
        "SELECT id FROM builds WHERE app_id = ?1 AND ?2 IN (artifact_id, image_id)"
        " ORDER BY ended_at DESC LIMIT 1",
        (app_id, made),
    )
    return None if value is None else BuildId(str(value))


async def with_wanted_sources(reader: Reader, *, ended_after: float) -> set[BuildId]:
    """Name the builds whose source may be built again.

    Those to be done, those that succeeded after a moment, and those of what is current or may become so.
    """
    found = await reader.all(
        f"SELECT id FROM builds WHERE state IN {UNFINISHED} OR state = 'succeeded' AND ended_at > ?"
        " UNION SELECT build_id AS id FROM deployments WHERE build_id IS NOT NULL"
        "  AND (state IN ('queued', 'building', 'starting') OR id IN"
        "   (SELECT current_deployment_id FROM environments))",
        (ended_after,),
    )
    return {row["id"] for row in found}


async def ids_known(reader: Reader) -> set[BuildId]:
    return {row["id"] for row in await reader.all("SELECT id FROM builds")}


async def images_in_use(reader: Reader, *, ended_after: float) -> set[str]:
    """Name the images that deployments refer to, and the ids of builds whose images are too new to go."""
    found = await reader.all(
        "SELECT image AS name FROM deployments WHERE image IS NOT NULL"
        " UNION SELECT spec ->> '$.image' FROM deployments WHERE spec ->> '$.image' IS NOT NULL"
        f" UNION SELECT id FROM builds WHERE state IN {UNFINISHED} OR ended_at > ?1"
        " UNION SELECT image_id FROM builds WHERE ended_at > ?1 AND image_id IS NOT NULL",
        (ended_after,),
    )
    return {row["name"] for row in found}


async def some_made_images(reader: Reader) -> bool:
    """Say whether builds may have left anything in the container engine."""
    value = await reader.value(
        "SELECT EXISTS (SELECT 1 FROM builds WHERE recipe = ?) OR EXISTS (SELECT 1 FROM build_layers)",
        (DOCKERFILE,),
    )
    return bool(value)


async def delete_ended(tx: Tx, *, keep_per_app: int, now: float) -> None:
    """Delete the oldest ended builds beyond a number per app, but none whose result a deployment runs.

    Their artifacts go with them, unless a deployment or another build has the same.
    """
    gone = await tx.all(
        "SELECT id, artifact_id FROM (SELECT id, artifact_id, row_number() OVER"
        " (PARTITION BY app_id ORDER BY ended_at DESC) AS place FROM builds"
        " WHERE ended_at IS NOT NULL) b WHERE place > ?"
        " AND NOT EXISTS (SELECT 1 FROM deployments WHERE build_id = b.id)",
        (keep_per_app,),
    )
    for row in gone:
        await tx.write("DELETE FROM builds WHERE id = ?", (row["id"],))
    for artifact_id in {row["artifact_id"] for row in gone} - {None}:
        deleted = await tx.write(
            "DELETE FROM artifacts WHERE id = ?1"
            " AND NOT EXISTS (SELECT 1 FROM builds WHERE artifact_id = ?1)"
            " AND NOT EXISTS (SELECT 1 FROM deployments WHERE artifact_id = ?1)",
            (artifact_id,),
        )
        if deleted:
            await feed.append(tx, "artifact.deleted", at=now, facts={"artifact_id": artifact_id})


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
