"""Rows to work with."""

from paas.core.ids import AppId, DeploymentId, TaskId, new_app_id, new_deployment_id, new_task_id
from paas.core.model import App, Deployment, Task, WakePolicy
from paas.core.records import replace
from paas.store import apps, deployments, tasks
from paas.store.database import Database
from tests.core.records import DEPLOYMENT


def app(name: str = "hello") -> App:
    return App(
        id=new_app_id(),
        name=name,
        namespace="default",
        subdomain=f"{name}-default",
        description=None,
        labels={"a": "b"},
        default_deployment_spec=None,
        wake_policy=WakePolicy(crawlers=True),
        created_at=1.0,
        updated_at=1.0,
    )


async def insert_app(database: Database, name: str = "hello") -> App:
    made = app(name)
    async with database.transaction() as tx:
        await apps.insert(tx, made)
    return made


async def insert_deployment(database: Database, app_id: AppId, version: int = 1) -> Deployment:
    made = replace(DEPLOYMENT, id=new_deployment_id(), app_id=app_id, version=version)
    async with database.transaction() as tx:
        await deployments.insert(tx, made)
    return made


async def insert_task(database: Database, deployment: Deployment) -> Task:
    task_id = new_task_id()
    async with database.record() as tx:
        await tasks.insert(tx, deployment, task_id, now=1.0)
    return await read_task(database, task_id)


async def read_task(database: Database, task_id: TaskId) -> Task:
    found = await tasks.get(database.reader, task_id)
    assert found is not None
    return found


async def read_deployment(database: Database, deployment_id: DeploymentId) -> Deployment:
    found = await deployments.get(database.reader, deployment_id)
    assert found is not None
    return found
