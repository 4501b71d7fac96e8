"""SQL about deployments."""

from paas.core.ids import AppId, ArtifactId, DeploymentId
from paas.core.model import Deployment, Sealed
from paas.core.states import LIVE_DEPLOYMENT
from paas.store import feed, rows
from paas.store.database import Reader, Tx, Value

LIVE = "(" + ", ".join(f"'{state}'" for state in sorted(LIVE_DEPLOYMENT)) + ")"
ONCE_CURRENT = "state IN ('superseded', 'stopped')"  # no other state leads to these
SORTABLE = ("version", "environment", "created_at", "updated_at")


async def insert(tx: Tx, deployment: Deployment) -> None:
    await tx.write(
        f"INSERT INTO deployments ({rows.DEPLOYMENT_COLUMNS}, artifact_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            deployment.id,
            deployment.app_id,
            deployment.sha,
            deployment.version,
            deployment.environment,
            deployment.state,
            deployment.reason,
            rows.to_json(deployment.spec),
            deployment.revision,
            None if deployment.command is None else rows.to_json(deployment.command),
            deployment.image,
            deployment.exposed_port,
            deployment.build_id,
            deployment.slept_at,
            deployment.woken_at,
            deployment.created_at,
            deployment.updated_at,
            rows.to_json(deployment.processes) if deployment.processes else None,
            None if deployment.release is None else rows.to_json(deployment.release),
            deployment.spec.artifact_id,
        ),
    )
    await feed.append(
        tx,
        f"deployment.{deployment.state}",
        at=deployment.created_at,
        app_id=deployment.app_id,
        deployment_id=deployment.id,
        facts={"version": deployment.version, "environment": deployment.environment},
    )


async def update_wishes(tx: Tx, deployment: Deployment, what: str) -> None:
    """Write what its owner wishes of it (spec, sleep, wake) with the event `deployment.<what>`."""
    await tx.write(
        "UPDATE deployments SET spec = ?, revision = ?, slept_at = ?, woken_at = ?, artifact_id = ?,"
        " updated_at = ? WHERE id = ?",
        (
            rows.to_json(deployment.spec),
            deployment.revision,
            deployment.slept_at,
            deployment.woken_at,
            deployment.spec.artifact_id,
            deployment.updated_at,
            deployment.id,
        ),
    )
    await feed.append(
        tx,
        f"deployment.{what}",
        at=deployment.updated_at,
        app_id=deployment.app_id,
        deployment_id=deployment.id,
    )


async def get(reader: Reader, deployment_id: DeploymentId) -> Deployment | None:
    row = await reader.one(
        f"SELECT {rows.DEPLOYMENT_COLUMNS} FROM deployments WHERE id = ?", (deployment_id,)
    )
    return None if row is None else rows.deployment(row)


async def by_version(reader: Reader, app_id: AppId, version: int) -> Deployment | None:
    row = await reader.one(
        f"SELECT {rows.DEPLOYMENT_COLUMNS} FROM deployments WHERE app_id = ? AND version = ?",
        (app_id, version),
    )
    return None if row is None else rows.deployment(row)


async def served_before(
    reader: Reader, app_id: AppId, environment: str, *, version: int, since: float
) -> Deployment | None:
    """Find the newest below a version, and made since a moment, that was once current in an environment."""
    row = await reader.one(
        f"SELECT {rows.DEPLOYMENT_COLUMNS} FROM deployments WHERE app_id = ? AND environment = ?"
        f" AND version < ? AND created_at >= ? AND {ONCE_CURRENT} ORDER BY version DESC LIMIT 1",
        (app_id, environment, version, since),
    )
    return None if row is None else rows.deployment(row)


async def of_app(reader: Reader, app_id: AppId, *, below_version: int | None, limit: int) -> list[Deployment]:
    """List an app's deployments, newest first, from below a version."""
    found = await reader.all(
        f"SELECT {rows.DEPLOYMENT_COLUMNS} FROM deployments WHERE app_id = ? AND version < ?"
        " ORDER BY version DESC LIMIT ?",
        (app_id, below_version if below_version is not None else 2**62, limit),
    )
    return [rows.deployment(row) for row in found]


async def page(
    reader: Reader, *, app_id: AppId | None, sort_by: str, descending: bool, limit: int, offset: int
) -> tuple[list[Deployment], int]:
    """List deployments, with their total number. `sort_by` is one of SORTABLE."""
    if sort_by not in SORTABLE:
        raise ValueError(sort_by)
    where = "app_id IN (SELECT id FROM apps WHERE deleted_at IS NULL)" if app_id is None else "app_id = ?"
    values: tuple[Value, ...] = () if app_id is None else (app_id,)
    order = "DESC" if descending else "ASC"
    found = await reader.all(
        f"SELECT {rows.DEPLOYMENT_COLUMNS} FROM deployments WHERE {where}"
        f" ORDER BY {sort_by} {order}, id LIMIT ? OFFSET ?",
        (*values, limit, offset),
    )
    total = await reader.value(f"SELECT count(*) FROM deployments WHERE {where}", values)
    return [rows.deployment(row) for row in found], int(total or 0)


async def live_of_app(reader: Reader, app_id: AppId) -> list[Deployment]:
    found = await reader.all(
        f"SELECT {rows.DEPLOYMENT_COLUMNS} FROM deployments WHERE app_id = ? AND state IN {LIVE}", (app_id,)
    )
    return [rows.deployment(row) for row in found]


async def to_look_at(reader: Reader) -> list[DeploymentId]:
    """Name what a starting agent must look at: live, or stopped and still current, or with a live task."""
    found = await reader.all(
        f"SELECT id FROM deployments WHERE state IN {LIVE}"
        " UNION SELECT current_deployment_id FROM environments WHERE current_deployment_id IS NOT NULL"
        " UNION SELECT deployment_id FROM tasks WHERE ended_at IS NULL"
    )
    return [row["id"] for row in found]


async def restless(reader: Reader) -> list[DeploymentId]:
    """Name the deployments in which something runs or is about to: sleeping ones need no second look."""
    found = await reader.all(
        "SELECT DISTINCT deployment_id AS id FROM tasks WHERE state IN ('starting', 'running', 'stopping')"
        " UNION SELECT id FROM deployments WHERE state IN ('queued', 'building', 'starting')"
    )
    return [row["id"] for row in found]


async def waiting_for(reader: Reader, artifact_id: ArtifactId) -> list[DeploymentId]:
    """Name the queued deployments that wait for this artifact's bytes."""
    found = await reader.all(
        "SELECT id FROM deployments WHERE artifact_id = ? AND state = 'queued'", (artifact_id,)
    )
    return [row["id"] for row in found]


async def remember_key(
    tx: Tx, app_id: AppId, key: str, *, request: str | Sealed, deployment_id: DeploymentId, now: float
) -> None:
    """Keep what an Idempotency-Key did, with the SHA-256 of its request, sealed or as it is."""
    sealed = request if isinstance(request, Sealed) else None
    await tx.write(
        "INSERT INTO idempotency_keys (app_id, key, request_sha256, key_id, sealed_request, deployment_id,"
        " created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            app_id,
            key,
            "" if isinstance(request, Sealed) else request,
            None if sealed is None else sealed.key_id,
            None if sealed is None else sealed.box,
            deployment_id,
            now,
        ),
    )


async def recall_key(reader: Reader, app_id: AppId, key: str) -> tuple[str | Sealed, DeploymentId] | None:
    """Find what an Idempotency-Key did before: the request's hash, sealed or not, and its deployment."""
    row = await reader.one(
        "SELECT request_sha256, key_id, sealed_request, deployment_id FROM idempotency_keys"
        " WHERE app_id = ? AND key = ?",
        (app_id, key),
    )
    if row is None:
        return None
    if row["key_id"] is None:
        return row["request_sha256"], row["deployment_id"]
    return Sealed(key_id=row["key_id"], box=row["sealed_request"]), row["deployment_id"]


async def forget_keys(tx: Tx, *, before: float) -> None:
    await tx.write("DELETE FROM idempotency_keys WHERE created_at < ?", (before,))


async def beyond_retention(reader: Reader, *, keep_per_app: int, keep_served: int) -> list[Deployment]:
    """List the oldest deployments beyond a number per app that are current nowhere and not under way.

    Of each environment the last few that were current before are kept too, to be rolled back to.
    """
    found = await reader.all(
        f"SELECT {rows.DEPLOYMENT_COLUMNS} FROM (SELECT *, row_number() OVER"
        " (PARTITION BY app_id ORDER BY version DESC) AS place FROM deployments"
        " WHERE state IN ('superseded', 'stopped', 'failed', 'cancelled')"
        " AND id NOT IN (SELECT current_deployment_id FROM environments"
        "   WHERE current_deployment_id IS NOT NULL)) WHERE place > ?"
        " AND id NOT IN (SELECT id FROM (SELECT d.id, row_number() OVER"
        "   (PARTITION BY d.app_id, d.environment ORDER BY d.version DESC) AS place"
        "   FROM deployments d JOIN environments e ON e.app_id = d.app_id AND e.slug = d.environment"
        f"   WHERE d.created_at >= e.created_at AND d.{ONCE_CURRENT}"
        "   AND d.id IS NOT e.current_deployment_id) WHERE place <= ?)",
        (keep_per_app, keep_served),
    )
    return [rows.deployment(row) for row in found]


async def delete_ended(tx: Tx, deployment_id: DeploymentId) -> bool:
    """Delete a deployment of which no task is live, with its tasks' rows; False if one is."""
    changed = await tx.write(
        "DELETE FROM deployments WHERE id = ? AND state IN ('stopped', 'failed', 'cancelled')"
        " AND NOT EXISTS (SELECT 1 FROM tasks WHERE deployment_id = deployments.id AND ended_at IS NULL)",
        (deployment_id,),
    )
    return bool(changed)


async def programs_in_use(reader: Reader) -> set[str]:
    """Name the SHA-256 of every artifact that a live deployment runs."""
    found = await reader.all(
        "SELECT DISTINCT f.sha256 AS sha256 FROM deployments d JOIN artifacts f ON f.id = d.artifact_id"
        f" WHERE d.state IN {LIVE} AND f.sha256 IS NOT NULL"
    )
    return {row["sha256"] for row in found}


async def some_run_containers(reader: Reader) -> bool:
    """Say whether any deployment, ended ones too, runs containers; an index knows."""
    row = await reader.one(
        "SELECT 1 FROM deployments WHERE json_extract(spec, '$.process_type') = 'docker' LIMIT 1"
    )
    return row is not None


async def note_pull(tx: Tx, deployment: Deployment, *, now: float, done: int, total: int) -> None:
    """Add the event `deployment.pulling`: how many bytes of the image are here, of those known to come."""
    await feed.append(
        tx,
        "deployment.pulling",
        at=now,
        app_id=deployment.app_id,
        deployment_id=deployment.id,
        facts={"done_bytes": done, "total_bytes": total},
    )
