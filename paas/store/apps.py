"""SQL about apps, and what is current in their environments."""

from collections.abc import Mapping

from paas.core.ids import AppId, DeploymentId
from paas.core.model import DEVELOPMENT, PRODUCTION, App
from paas.store import environments, feed, rows, tcp_ports
from paas.store.database import Reader, Tx, Value

FIRST_ENVIRONMENTS = (PRODUCTION, DEVELOPMENT)  # that every app has
SORTABLE = ("name", "namespace", "subdomain", "created_at", "updated_at")


async def insert(tx: Tx, app: App) -> None:
    """Add an app with its two environments."""
    await tx.write(
        f"INSERT INTO apps ({rows.APP_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (app.id, app.name, app.namespace, app.subdomain, *_changeable(app), app.created_at, app.updated_at),
    )
    for slug in FIRST_ENVIRONMENTS:
        await environments.add(tx, app, slug, now=app.created_at)
    await feed.append(
        tx,
        "app.created",
        at=app.created_at,
        app_id=app.id,
        facts={"name": app.name, "namespace": app.namespace},
    )


async def update(tx: Tx, app: App) -> None:
    """Write what of an app may change."""
    await tx.write(
        "UPDATE apps SET description = ?, labels = ?, default_deployment_spec = ?, wake_policy = ?,"
        " updated_at = ? WHERE id = ?",
        (*_changeable(app), app.updated_at, app.id),
    )
    await feed.append(tx, "app.updated", at=app.updated_at, app_id=app.id)


def _changeable(app: App) -> tuple[Value, ...]:
    default = app.default_deployment_spec
    return (
        app.description,
        rows.to_json(app.labels),
        None if default is None else rows.to_json(default),
        rows.to_json(app.wake_policy),
    )


async def get(reader: Reader, app_id: AppId) -> App | None:
    return await _one(reader, "id = ?", (app_id,))


async def by_name(reader: Reader, namespace: str, name: str) -> App | None:
    return await _one(reader, "namespace = ? AND name = ?", (namespace, name))


async def by_subdomain(reader: Reader, subdomain: str) -> App | None:
    return await _one(reader, "subdomain = ?", (subdomain,))


async def _one(reader: Reader, where: str, values: tuple[Value, ...]) -> App | None:
    row = await reader.one(
        f"SELECT {rows.APP_COLUMNS} FROM apps WHERE {where} AND deleted_at IS NULL", values
    )
    return None if row is None else rows.app(row)


async def page(
    reader: Reader, *, namespace: str | None, sort_by: str, descending: bool, limit: int, offset: int
) -> tuple[list[App], int]:
    """List apps, with their total number. `sort_by` is one of SORTABLE."""
    if sort_by not in SORTABLE:
        raise ValueError(sort_by)
    where = "deleted_at IS NULL" + ("" if namespace is None else " AND namespace = ?")
    values: tuple[Value, ...] = () if namespace is None else (namespace,)
    order = "DESC" if descending else "ASC"
    found = await reader.all(
        f"SELECT {rows.APP_COLUMNS} FROM apps WHERE {where} ORDER BY {sort_by} {order}, id LIMIT ? OFFSET ?",
        (*values, limit, offset),
    )
    total = await reader.value(f"SELECT count(*) FROM apps WHERE {where}", values)
    return [rows.app(row) for row in found], int(total or 0)


async def mark_deleted(tx: Tx, app_id: AppId, *, now: float) -> None:
    """Hide an app; its name, hosts and ports are free again, its rows go once nothing of it runs."""
    await tx.write("UPDATE apps SET deleted_at = ? WHERE id = ?", (now, app_id))
    await environments.free_labels(tx, app_id)
    await tcp_ports.free_all(tx, app_id)
    await feed.append(tx, "app.deleted", at=now, app_id=app_id)


async def purge_deleted(tx: Tx) -> None:
    """Drop the rows of deleted apps of which no task is live."""
    await tx.write(
        "DELETE FROM apps WHERE deleted_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM tasks"
        " JOIN deployments ON deployments.id = tasks.deployment_id"
        " WHERE deployments.app_id = apps.id AND tasks.ended_at IS NULL)"
    )


async def next_version(tx: Tx, app_id: AppId) -> int:
    version = await tx.value(
        "UPDATE apps SET last_version = last_version + 1 WHERE id = ? RETURNING last_version", (app_id,)
    )
    return int(version or 0)


async def current_deployments(reader: Reader, app_id: AppId) -> Mapping[str, DeploymentId]:
    """Map each environment of an app that has a current deployment to it."""
    found = await reader.all(
        "SELECT slug, current_deployment_id FROM environments"
        " WHERE app_id = ? AND current_deployment_id IS NOT NULL",
        (app_id,),
    )
    return {row["slug"]: row["current_deployment_id"] for row in found}


async def set_current(tx: Tx, app_id: AppId, slug: str, deployment_id: DeploymentId) -> None:
    await tx.write(
        "UPDATE environments SET current_deployment_id = ? WHERE app_id = ? AND slug = ?",
        (deployment_id, app_id, slug),
    )
