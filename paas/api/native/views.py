"""Records with what surrounds them, as answers: a fixed number of reads for one or for a page."""

from collections.abc import Mapping, Sequence

from paas.api.kit.parts import ApiParts
from paas.api.native import answers
from paas.api.native import deployment_shapes as shapes
from paas.api.native.deployment_shapes import Shown
from paas.core import hosts, model
from paas.core.errors import NotFound
from paas.core.ids import AppId, DeploymentId, TaskId
from paas.core.states import UNSETTLED_DEPLOYMENT, DeploymentState
from paas.store import apps as app_table
from paas.store import deployments as deployment_table
from paas.store import environments as environment_table
from paas.store import overview, tcp_ports
from paas.store import tasks as task_table
from paas.store.overview import Working

_NOTHING = Working()


async def deployments(parts: ApiParts, records: Sequence[model.Deployment]) -> list[answers.Deployment]:
    """Show some deployments; those of an app deleted meanwhile are left out."""
    shown = await _shown(parts, records)
    now = parts.clock.now()
    return [shapes.deployment(each, urls=parts.urls, now=now) for each in shown]


async def deployment(parts: ApiParts, record: model.Deployment) -> answers.Deployment:
    """Show one deployment. Raises NotFound if its app was deleted."""
    found = await deployments(parts, [record])
    if not found:
        raise _no_deployment(record.id)
    return found[0]


async def apps(parts: ApiParts, records: Sequence[model.App]) -> list[answers.App]:
    ids = [app.id for app in records]
    current = await overview.current_by_app(parts.reader, ids)
    serving = {app_id: hosts.serving_deployment(of_app) for app_id, of_app in current.items()}
    found = await overview.deployments_by_id(parts.reader, [each for each in serving.values() if each])
    others = await overview.newest_by_app(
        parts.reader, [app_id for app_id in ids if serving.get(app_id) is None]
    )
    wanted = [*found.values(), *others.values()]
    shown = {each.deployment.app_id: each for each in await _shown(parts, wanted)}
    now = parts.clock.now()
    default_env = await parts.variables.default_env(ids)
    return [
        shapes.app(app, shown.get(app.id), default_env=default_env.get(app.id), urls=parts.urls, now=now)
        for app in records
    ]


async def app(parts: ApiParts, record: model.App) -> answers.App:
    return (await apps(parts, [record]))[0]


async def environments(parts: ApiParts, records: Sequence[model.Environment]) -> list[answers.Environment]:
    """Show some environments, each with what is current in it."""
    ids = [each.current_deployment_id for each in records if each.current_deployment_id is not None]
    found = await overview.deployments_by_id(parts.reader, ids)
    current = {each.deployment.id: each for each in await _shown(parts, list(found.values()))}
    now = parts.clock.now()
    return [
        shapes.environment(
            each,
            None if each.current_deployment_id is None else current.get(each.current_deployment_id),
            urls=parts.urls,
            now=now,
        )
        for each in records
    ]


async def existing_app(parts: ApiParts, app_id: AppId) -> model.App:
    """Read an app. Raises NotFound."""
    record = await app_table.get(parts.reader, app_id)
    if record is None:
        raise NotFound(f"no app has the id {app_id}", code="APP_NOT_FOUND")
    return record


async def existing_deployment(parts: ApiParts, deployment_id: DeploymentId) -> model.Deployment:
    """Read a deployment. Raises NotFound."""
    record = await deployment_table.get(parts.reader, deployment_id)
    if record is None:
        raise _no_deployment(deployment_id)
    return record


async def existing_task(parts: ApiParts, task_id: TaskId) -> model.Task:
    """Read a task. Raises NotFound."""
    record = await task_table.get(parts.reader, task_id)
    if record is None:
        raise NotFound(f"no task has the id {task_id}", code="TASK_NOT_FOUND")
    return record


async def _shown(parts: ApiParts, records: Sequence[model.Deployment]) -> list[Shown]:
    app_ids = list({record.app_id for record in records})
    known = await overview.apps_by_id(parts.reader, app_ids)
    current = await overview.current_by_app(parts.reader, app_ids)
    working = await overview.working(parts.reader, [record.id for record in records])
    labels = await environment_table.labels_of(parts.reader, [record.id for record in records])
    ports = await _tcp_ports(parts, records)
    env = await parts.variables.env_of_specs(records)
    return [
        Shown(
            deployment=record,
            app=known[record.app_id],
            live=parts.live.live(record.id),
            is_current=current.get(record.app_id, {}).get(record.environment) == record.id,
            serves_app=hosts.serving_deployment(current.get(record.app_id, {})) == record.id,
            environment_label=labels.get(record.id),
            working=working.get(record.id, _NOTHING),
            tcp_port=ports.get(record.id),
            env=env[record.id],
        )
        for record in records
        if record.app_id in known
    ]


async def _tcp_ports(parts: ApiParts, records: Sequence[model.Deployment]) -> Mapping[DeploymentId, int]:
    """Map those that are, or are to be, reached by a port of the proxy's to it."""
    reached = [
        record
        for record in records
        if record.spec.networking.protocol == "tcp"
        and record.state in UNSETTLED_DEPLOYMENT | {DeploymentState.ACTIVE}
    ]
    if not reached:
        return {}
    known = await tcp_ports.by_environment(parts.reader, {record.app_id for record in reached})
    places = {record.id: (record.app_id, record.environment) for record in reached}
    return {key: known[place] for key, place in places.items() if place in known}


def _no_deployment(deployment_id: DeploymentId) -> NotFound:
    return NotFound(f"no deployment has the id {deployment_id}", code="DEPLOYMENT_NOT_FOUND")
