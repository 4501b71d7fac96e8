"""SQL about the proxy's ports that lead to apps: one per environment, kept as long as that or its app."""

from collections.abc import Collection, Mapping

from paas.core.ids import AppId
from paas.store import feed
from paas.store.database import Reader, Tx

# Where the port of a deployment's environment leads, `d` being the deployment: to what is active there, else
# to the newest that is to be, so that clients may wait for it; nowhere while that speaks HTTP.
_LED = (
    " FROM tcp_ports p JOIN deployments n ON n.app_id = p.app_id AND n.environment = p.environment"
    " WHERE p.app_id = d.app_id AND p.environment = d.environment"
    " AND json_extract(n.spec, '$.networking.protocol') = 'tcp'"
    " AND (n.state = 'active' OR (n.state IN ('queued', 'building', 'starting') AND NOT EXISTS"
    " (SELECT 1 FROM deployments x WHERE x.app_id = d.app_id AND x.environment = d.environment"
    " AND x.state = 'active'))) ORDER BY n.version DESC LIMIT 1)"
)
OPEN_PORT = f"(SELECT p.port{_LED}"
PORT_LEADS_TO = f"(SELECT n.id{_LED}"


async def assign(tx: Tx, app_id: AppId, environment: str, port: int, *, now: float) -> None:
    """Give an app's environment a port in place of the one it had. The port must belong to nobody."""
    await tx.write(
        "INSERT INTO tcp_ports (app_id, environment, port) VALUES (?, ?, ?)"
        " ON CONFLICT (app_id, environment) DO UPDATE SET port = excluded.port",
        (app_id, environment, port),
    )
    await feed.append(
        tx,
        "app.port_assigned",
        at=now,
        app_id=app_id,
        facts={"environment": environment, "port": port},
    )


async def holders(reader: Reader) -> Mapping[int, tuple[AppId, str]]:
    """Map every port that is taken to the app and environment that have it."""
    found = await reader.all("SELECT port, app_id, environment FROM tcp_ports")
    return {row["port"]: (row["app_id"], row["environment"]) for row in found}


async def by_environment(reader: Reader, app_ids: Collection[AppId]) -> Mapping[tuple[AppId, str], int]:
    """Map the environments of some apps to their ports."""
    marks = ", ".join("?" * len(app_ids))
    found = await reader.all(
        f"SELECT port, app_id, environment FROM tcp_ports WHERE app_id IN ({marks})", list(app_ids)
    )
    return {(row["app_id"], row["environment"]): row["port"] for row in found}


async def free_all(tx: Tx, app_id: AppId) -> None:
    """Give all ports of an app up; part of its deletion, which has the event."""
    await tx.write("DELETE FROM tcp_ports WHERE app_id = ?", (app_id,))


async def free(tx: Tx, app_id: AppId, environment: str) -> None:
    """Give the port of an app's environment up; part of the deletion of that, which has the event."""
    await tx.write("DELETE FROM tcp_ports WHERE app_id = ? AND environment = ?", (app_id, environment))
