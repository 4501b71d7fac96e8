"""The apps of a namespace, as they are shown to each other's tasks."""

from paas.core.ids import AppId
from paas.core.records import dataclass
from paas.store.database import Reader

# Each of them is some bytes in the environment of each task. The oldest, so that none is lost to a new one.
MOST_TOLD = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    app_id: AppId
    name: str
    subdomain: str
    label: str  # of the host that is meant: its environment's, where that is the asker's own, else the app's
    tcp_port: int | None  # of the proxy's, if it speaks no HTTP


# What of it is meant: current in the same environment, else in production, else in development, else
# wherever it is; before its first deployment is ready, the newest that is to be.
_MEANT = (
    "coalesce((SELECT e.current_deployment_id FROM environments e"
    " WHERE e.app_id = a.id AND e.current_deployment_id IS NOT NULL"
    " ORDER BY e.slug = ?2 DESC, e.slug = 'production' DESC, e.slug = 'development' DESC LIMIT 1),"
    " (SELECT n.id FROM deployments n WHERE n.app_id = a.id ORDER BY n.version DESC LIMIT 1))"
)


async def of_namespace(reader: Reader, namespace: str, environment: str) -> tuple[Neighbour, ...]:
    """List the oldest apps of a namespace that were deployed, as one in an environment is to see them."""
    found = await reader.all(
        "SELECT a.id, a.name, a.subdomain, coalesce(e.label, a.subdomain) AS label, p.port FROM"
        " (SELECT id, name, subdomain FROM apps WHERE namespace = ?1 AND deleted_at IS NULL"
        " ORDER BY created_at, id LIMIT ?3) a"
        f" JOIN deployments d ON d.id = {_MEANT}"
        " LEFT JOIN environments e ON e.app_id = a.id AND e.slug = d.environment AND e.slug = ?2"
        " LEFT JOIN tcp_ports p ON p.app_id = a.id AND p.environment = d.environment"
        " AND json_extract(d.spec, '$.networking.protocol') = 'tcp'",
        (namespace, environment, MOST_TOLD),
    )
    return tuple(
        Neighbour(
            app_id=row["id"],
            name=row["name"],
            subdomain=row["subdomain"],
            label=row["label"],
            tcp_port=row["port"],
        )
        for row in found
    )
