"""SQL about environments. What is current in them is switched in `apps`."""

from collections.abc import Collection, Mapping

from paas.core import hosts
from paas.core.ids import AppId, DeploymentId
from paas.core.model import DEVELOPMENT, PRODUCTION, App, Environment
from paas.store import feed, rows, tcp_ports
from paas.store.database import Reader, Tx

FIRST = f"slug <> '{PRODUCTION}', slug <> '{DEVELOPMENT}'"  # those that every app has


async def add(tx: Tx, app: App, slug: str, *, now: float, pull_request: int | None = None) -> Environment:
    """Add an environment, whose host must belong to nobody. Its event is the caller's."""
    environment = Environment(
        app_id=app.id,
        slug=slug,
        label=hosts.environment_label(app.subdomain, app.id, slug),
        current_deployment_id=None,
        pull_request=pull_request,
        created_at=now,
    )
    await tx.write(
        f"INSERT INTO environments ({rows.ENVIRONMENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
        (app.id, slug, environment.label, None, pull_request, now),
    )
    return environment


async def announce(tx: Tx, environment: Environment, what: str, *, now: float) -> None:
    """Add the event `environment.<what>`."""
    facts: dict[str, object] = {"environment": environment.slug}
    if environment.pull_request is not None:
        facts["pull_request"] = environment.pull_request
    await feed.append(tx, f"environment.{what}", at=now, app_id=environment.app_id, facts=facts)


async def get(reader: Reader, app_id: AppId, slug: str) -> Environment | None:
    row = await reader.one(
        f"SELECT {rows.ENVIRONMENT_COLUMNS} FROM environments WHERE app_id = ? AND slug = ?", (app_id, slug)
    )
    return None if row is None else rows.environment(row)


async def page(reader: Reader, app_id: AppId, *, limit: int, offset: int) -> tuple[list[Environment], int]:
    """List an app's environments, production and development first, with their total number."""
    found = await reader.all(
        f"SELECT {rows.ENVIRONMENT_COLUMNS} FROM environments WHERE app_id = ?"
        f" ORDER BY {FIRST}, slug LIMIT ? OFFSET ?",
        (app_id, limit, offset),
    )
    total = await reader.value("SELECT count(*) FROM environments WHERE app_id = ?", (app_id,))
    return [rows.environment(row) for row in found], int(total or 0)


async def labels_of(reader: Reader, deployment_ids: Collection[DeploymentId]) -> Mapping[DeploymentId, str]:
    """Map some deployments to the host labels of their environments, of those that have one."""
    found = await reader.all(
        "SELECT d.id, e.label FROM deployments d"
        " JOIN environments e ON e.app_id = d.app_id AND e.slug = d.environment"
        f" WHERE e.label IS NOT NULL AND d.id IN ({', '.join('?' * len(deployment_ids))})",
        list(deployment_ids),
    )
    return {row["id"]: row["label"] for row in found}


async def delete(tx: Tx, environment: Environment, *, now: float) -> None:
    """Delete an environment, and give its port up. What was deployed in it is the caller's to end."""
    place = (environment.app_id, environment.slug)
    await tx.write("DELETE FROM environments WHERE app_id = ? AND slug = ?", place)
    await tcp_ports.free(tx, *place)
    await announce(tx, environment, "deleted", now=now)


async def free_labels(tx: Tx, app_id: AppId) -> None:
    """Give the hosts of all environments of an app up; part of its deletion, which has the event."""
    await tx.write("UPDATE environments SET label = NULL WHERE app_id = ?", (app_id,))
