"""Processes beside web in requests and answers."""

from http import HTTPStatus

from paas.core.ids import DeploymentId, TaskId, new_task_id
from paas.core.states import TaskState
from paas.store import deployments, tasks
from tests.api.conftest import Api
from tests.api.engine import activate, begin
from tests.harness import Json

ONE = {"worker": {"command": "./work"}}


async def with_worker(api: Api) -> tuple[Json, TaskId]:
    """A deployment that is current, with a task of web and one of a worker."""
    app = await api.app()
    deployment = await api.deployment(app["id"], processes=ONE)
    await activate(api, deployment, ready=1)
    task_id = new_task_id()
    async with api.database.record() as tx:
        record = await deployments.get(tx, DeploymentId(deployment["id"]))
        assert record is not None
        await tasks.insert(tx, record, task_id, now=api.clock.now(), process="worker")
    await begin(api, task_id, TaskState.STARTING, TaskState.RUNNING)
    return deployment, task_id


async def test_what_is_said_of_a_process_is_laid_over_what_was(api: Api) -> None:
    app = await api.app(
        default_deployment_spec={"processes": {"worker": {"command": "./old", "replicas": 3}}}
    )
    deployment = await api.deployment(app["id"], processes={"worker": {"sleeps": False}, "mail": {}})
    path = f"/api/v1/deployments/{deployment['id']}"

    _, scaled = await api.ask("PATCH", path, {"spec": {"processes": {"worker": {"replicas": 1}}}})
    _, gone = await api.ask("PATCH", path, {"spec": {"processes": {"mail": None}}})

    assert scaled["spec"]["processes"]["worker"] == {"command": "./old", "replicas": 1, "sleeps": False}
    assert set(scaled["spec"]["processes"]) == {"worker", "mail"}
    assert set(gone["spec"]["processes"]) == {"worker"}


async def test_a_deployment_shows_its_workers_beside_its_web(api: Api) -> None:
    deployment, task_id = await with_worker(api)

    _, shown = await api.ask("GET", f"/api/v1/deployments/{deployment['id']}")
    _, task = await api.ask("GET", f"/api/v1/tasks/{task_id}")
    _, app = await api.ask("GET", f"/api/v1/apps/{deployment['app_id']}")

    assert shown["processes"] == [{"name": "worker", "replicas": 1, "sleeps": True, "running": 1}]
    assert app["current"]["processes"] == shown["processes"]
    assert (shown["tasks_ready"], shown["tasks_total"]) == (1, 1)
    assert task["process"] == "worker"


async def read(api: Api, path: str) -> Json:
    """Read a list, of which `ask` knows nothing."""
    _, answer = await api.ask("GET", path)
    return answer


async def test_logs_can_be_of_one_process(api: Api) -> None:
    deployment, task_id = await with_worker(api)
    api.parts.logs.path(task_id).write_text("works\n")
    path = f"/api/v1/deployments/{deployment['id']}/logs"

    of_worker = await read(api, f"{path}?process=worker")
    of_web = await read(api, f"{path}?process=web")
    status, _ = await api.ask("GET", f"{path}?process=Web")

    assert [(entry["process"], entry["message"]) for entry in of_worker] == [("worker", "works")]
    assert of_web == []
    assert status == HTTPStatus.UNPROCESSABLE_ENTITY


async def test_an_unknown_process_is_refused_once_the_known_ones_are(api: Api) -> None:
    deployment, _ = await with_worker(api)
    body = {"spec": {"processes": {"wroker": {"replicas": 2}}}}

    status, error = await api.ask("PATCH", f"/api/v1/deployments/{deployment['id']}", body)

    assert (status, error["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, "spec.processes.wroker")


async def test_scaling_a_worker_replaces_no_task_and_another_command_does(api: Api) -> None:
    deployment, _ = await with_worker(api)
    key = DeploymentId(deployment["id"])
    path = f"/api/v1/deployments/{key}"

    await api.ask("PATCH", path, {"spec": {"processes": {"worker": {"replicas": 4, "sleeps": False}}}})
    scaled = await deployments.get(api.database.reader, key)
    await api.ask("PATCH", path, {"spec": {"processes": {"worker": {"command": "./other"}}}})
    changed = await deployments.get(api.database.reader, key)

    assert scaled is not None
    assert changed is not None
    assert (scaled.revision, changed.revision) == (1, 2)
