"""What lists show beside their own rows: one read each, however many rows there are."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from paas.core.ids import AppId, DeploymentId
from paas.core.model import App, Deployment
from paas.core.records import dataclass, field
from paas.core.spec import WEB
from paas.core.states import TaskState
from paas.store import rows
from paas.store.database import Reader


async def apps_by_id(reader: Reader, app_ids: Collection[AppId]) -> dict[AppId, App]:
    """Read some apps; deleted ones are absent."""
    found = await reader.all(
        f"SELECT {rows.APP_COLUMNS} FROM apps WHERE deleted_at IS NULL AND id IN ({_marks(app_ids)})",
        list(app_ids),
    )
    return {app.id: app for app in map(rows.app, found)}


async def current_by_app(
    reader: Reader, app_ids: Collection[AppId]
) -> Mapping[AppId, Mapping[str, DeploymentId]]:
    """Map each app to what is current in its environments."""
    found = await reader.all(
        "SELECT app_id, slug, current_deployment_id FROM environments"
        f" WHERE current_deployment_id IS NOT NULL AND app_id IN ({_marks(app_ids)})",
        list(app_ids),
    )
    current: dict[AppId, dict[str, DeploymentId]] = defaultdict(dict)
    for row in found:
        current[row["app_id"]][row["slug"]] = row["current_deployment_id"]
    return current


async def deployments_by_id(
    reader: Reader, deployment_ids: Collection[DeploymentId]
) -> dict[DeploymentId, Deployment]:
    found = await reader.all(
        f"SELECT {rows.DEPLOYMENT_COLUMNS} FROM deployments WHERE id IN ({_marks(deployment_ids)})",
        list(deployment_ids),
    )
    return {deployment.id: deployment for deployment in map(rows.deployment, found)}


async def newest_by_app(reader: Reader, app_ids: Collection[AppId]) -> dict[AppId, Deployment]:
    """Read the last deployment of each app that has any."""
    found = await reader.all(
        f"SELECT {rows.DEPLOYMENT_COLUMNS} FROM deployments WHERE (app_id, version) IN"
        " (SELECT app_id, max(version) FROM deployments"
        f" WHERE app_id IN ({_marks(app_ids)}) GROUP BY app_id)",
        list(app_ids),
    )
    return {deployment.app_id: deployment for deployment in map(rows.deployment, found)}


@dataclass(frozen=True, slots=True, kw_only=True)
class AppTitle:
    """What people call an app."""

    id: AppId
    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentTitle:
    """What people call a deployment."""

    app: AppTitle
    environment: str
    version: int


async def app_titles(reader: Reader) -> list[AppTitle]:
    """Name all apps."""
    found = await reader.all(
        "SELECT id, namespace, name FROM apps WHERE deleted_at IS NULL ORDER BY namespace, name"
    )
    return [AppTitle(id=row["id"], namespace=row["namespace"], name=row["name"]) for row in found]


async def deployment_titles(
    reader: Reader, deployment_ids: Collection[DeploymentId]
) -> dict[DeploymentId, DeploymentTitle]:
    """Name some deployments, also thousands; those of deleted apps are absent."""
    found = await reader.all(
        "SELECT d.id, d.environment, d.version, a.id AS app_id, a.namespace, a.name FROM deployments d"
        " JOIN apps a ON a.id = d.app_id AND a.deleted_at IS NULL"
        " WHERE d.id IN (SELECT value FROM json_each(?))",
        (rows.to_json(list(deployment_ids)),),
    )
    return {
        row["id"]: DeploymentTitle(
            app=AppTitle(id=row["app_id"], namespace=row["namespace"], name=row["name"]),
            environment=row["environment"],
            version=row["version"],
        )
        for row in found
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """What of a deployment starts or runs now."""

    is_starting: bool = False  # a task of web
    workers: Mapping[str, int] = field(default_factory=dict)  # tasks that run, by process


async def working(reader: Reader, deployment_ids: Collection[DeploymentId]) -> dict[DeploymentId, Working]:
    """Look at some deployments; of those that are absent nothing starts, and no worker runs."""
    found = await reader.all(
        "SELECT deployment_id, process, state, count(*) AS tasks FROM tasks"
        f" WHERE (state = '{TaskState.STARTING}' OR state = '{TaskState.RUNNING}' AND process <> '{WEB}')"
        f" AND deployment_id IN ({_marks(deployment_ids)}) GROUP BY deployment_id, process, state",
        list(deployment_ids),
    )
    starting: set[DeploymentId] = set()
    running: dict[DeploymentId, dict[str, int]] = defaultdict(dict)
    for row in found:
        if row["state"] == TaskState.RUNNING:
            running[row["deployment_id"]][row["process"]] = row["tasks"]
        elif row["process"] == WEB:
            starting.add(row["deployment_id"])
    return {key: Working(is_starting=key in starting, workers=running[key]) for key in {*starting, *running}}


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))
