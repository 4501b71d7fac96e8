"""Everything plan() needs to know about one deployment from the database, in one read."""

from paas.core.hosts import serving_deployment
from paas.core.ids import DeploymentId
from paas.core.model import App, Artifact, Deployment, Rival, Task
from paas.core.records import dataclass
from paas.core.states import LIVE_TASK
from paas.core.variables import Boxed
from paas.store import rows, tasks, tcp_ports, variables, volumes
from paas.store.database import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One deployment with what surrounds it."""

    deployment: Deployment
    app: App
    artifact: Artifact | None
    is_current: bool  # in its environment
    serves_app: bool  # answers the app's own host, or will as the first to do so
    environment_label: str | None  # of its environment's host, if it answers that, or will as the first
    newer_is_current: bool  # a later version took over in its environment
    tcp_port: int | None  # of the proxy's, if its environment is reached by one now
    takes_port: bool  # and that leads to this deployment
    live: tuple[Task, ...]  # newest first
    ended: tuple[Task, ...]  # the last few, newest first
    rivals: tuple[Rival, ...]  # for its volumes
    variables: tuple[Boxed, ...] = ()  # of all levels, those that win last


# Spelt out: for each IN list SQLite makes a table of its own, whose memory is taken and given back each time.
_UNSETTLED = "(n.state = 'queued' OR n.state = 'building' OR n.state = 'starting')"
_TASK_NAMES = [name.strip() for name in rows.TASK_COLUMNS.split(",")]
_COLUMNS = [
    *(f"NULL AS t_{name}" for name in _TASK_NAMES),
    *(f"d.{name.strip()} AS d_{name.strip()}" for name in rows.DEPLOYMENT_COLUMNS.split(",")),
    *(f"a.{name.strip()} AS a_{name.strip()}" for name in rows.APP_COLUMNS.split(",")),
    *(f"f.{name.strip()} AS f_{name.strip()}" for name in rows.ARTIFACT_COLUMNS.split(",")),
    (
        "(SELECT json_group_object(slug, current_deployment_id) FROM environments"
        " WHERE app_id = d.app_id AND current_deployment_id IS NOT NULL) AS current"
    ),
    (
        "(SELECT c.version FROM environments e JOIN deployments c ON c.id = e.current_deployment_id"
        " WHERE e.app_id = d.app_id AND e.slug = d.environment) AS current_version"
    ),
    "(SELECT label FROM environments WHERE app_id = d.app_id AND slug = d.environment) AS label",
    "a.deleted_at IS NOT NULL AS app_deleted",
    f"{tcp_ports.OPEN_PORT} AS tcp_port",
    f"{tcp_ports.PORT_LEADS_TO} AS tcp_port_leads_to",
    # Who will answer the app's host, and the environment's, as soon as it is ready, where nobody does yet.
    (
        "(SELECT n.id FROM deployments n WHERE n.app_id = d.app_id"
        f" AND {_UNSETTLED} AND (n.environment = 'production' OR n.environment = 'development')"
        " ORDER BY n.version DESC LIMIT 1) AS coming"
    ),
    (
        "(SELECT n.id FROM deployments n WHERE n.app_id = d.app_id AND n.environment = d.environment"
        f" AND {_UNSETTLED} ORDER BY n.version DESC LIMIT 1) AS coming_there"
    ),
    f"{variables.OF_DEPLOYMENT} AS variables",
]
# One statement, for one hop to the database's thread and back, since a wake waits for it: the
# deployment with what surrounds it in one row, then a row for each task.
_QUERY = (
    f"SELECT {', '.join(_COLUMNS)}"
    " FROM deployments d JOIN apps a ON a.id = d.app_id LEFT JOIN artifacts f ON f.id = d.artifact_id"
    " WHERE d.id = ?1"
    f" UNION ALL SELECT *{', NULL' * (len(_COLUMNS) - len(_TASK_NAMES))}"
    f" FROM ({tasks.LIVE_AND_LATEST_ENDED})"
)


async def read(reader: Reader, deployment_id: DeploymentId) -> Stored | None:
    found = await reader.all(_QUERY, (deployment_id,))
    row = next((each for each in found if each["t_id"] is None), None)
    if row is None:
        return None
    known = [
        rows.task(dict(zip(_TASK_NAMES, each, strict=False))) for each in found if each["t_id"] is not None
    ]
    deployment = rows.deployment(rows.part(row, "d_"))
    current = {} if row["app_deleted"] else rows.current(row["current"])
    return Stored(
        deployment=deployment,
        app=rows.app(rows.part(row, "a_")),
        artifact=None if row["f_id"] is None else rows.artifact(rows.part(row, "f_")),
        is_current=current.get(deployment.environment) == deployment.id,
        environment_label=(
            row["label"]
            if (current.get(deployment.environment) or row["coming_there"]) == deployment.id
            else None
        ),
        serves_app=(serving_deployment(current) or row["coming"]) == deployment.id,
        newer_is_current=(row["current_version"] or 0) > deployment.version,
        tcp_port=row["tcp_port"],
        takes_port=row["tcp_port_leads_to"] == deployment.id,
        live=tuple(task for task in known if task.state in LIVE_TASK),
        ended=tuple(
            sorted(
                (task for task in known if task.state not in LIVE_TASK),
                key=lambda task: task.ended_at or 0.0,
                reverse=True,
            )
        ),
        rivals=await volumes.rivals(reader, deployment) if deployment.spec.exclusive_paths else (),
        variables=rows.boxes(row["variables"]),
    )
