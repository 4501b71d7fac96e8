"""Deployments over HTTP."""

import asyncio
import json
from http import HTTPStatus

import pytest

from paas.core.ids import AppId, DeploymentId, TaskId, new_task_id
from paas.core.model import Refusal
from paas.core.states import DeploymentState, TaskState
from paas.router import Rules
from paas.store import apps, deployments, tasks, transitions
from tests.api.conftest import START, Api, Json

DEFAULT_SPEC: Json = {
    "process_type": "tish",
    "artifact_id": None,
    "image": None,
    "replicas": 1,
    "resources": {"cpu": "100m", "memory": "128Mi"},
    "networking": {"port": None, "protocol": "http", "health_path": None},
    "env": {},
    "cold_start_enabled": True,
    "idle_timeout_secs": 300,
    "max_runtime_secs": None,
    "volumes": [],
    "start_timeout_secs": 60,
    "stop_grace_secs": 10,
}


async def activate(api: Api, deployment: Json, *, ready: int = 0) -> list[TaskId]:
    """Do what the engine would: make a deployment current, with some ready tasks."""
    async with api.database.record() as tx:
        record = await deployments.get(tx, DeploymentId(deployment["id"]))
        assert record is not None
        for state in (DeploymentState.BUILDING, DeploymentState.STARTING, DeploymentState.ACTIVE):
            record = await transitions.move_deployment(tx, record, state, now=api.clock.now())
        await apps.set_current(tx, record.app_id, record.environment, record.id)
        ids = [new_task_id() for _ in range(ready)]
        for task_id in ids:
            await tasks.insert(tx, record, task_id, now=api.clock.now())
    api.router.route(record.id, record.app_id, ["hello-default.localhost"], Rules())
    for port, task_id in enumerate(ids, start=40000):
        await begin(api, task_id, TaskState.STARTING, TaskState.RUNNING)
        api.router.publish(record.id, task_id, "127.0.0.1", port)
    return ids


async def begin(api: Api, task_id: TaskId, *states: TaskState) -> None:
    async with api.database.record() as tx:
        for state in states:
            task = await tasks.get(tx, task_id)
            assert task is not None
            await transitions.move_task(tx, task, state, now=api.clock.now())


async def test_deployment_is_created_in_the_documented_shape(api: Api) -> None:
    app = await api.app("my-api")

    deployment = await api.deployment(app["id"], environment="production", replicas=2)

    assert deployment["app_id"] == app["id"]
    assert len(deployment["sha"]) == 8
    assert deployment["version"] == 1
    assert (deployment["status"], deployment["state"], deployment["activity"]) == (
        "pending",
        "queued",
        "deploying",
    )
    assert deployment["spec"] == DEFAULT_SPEC | {"replicas": 2}
    assert (deployment["tasks_ready"], deployment["tasks_total"], deployment["progress"]) == (0, 2, 0)
    assert deployment["environment_slug"] == "production"
    assert deployment["preview_url"] == f"http://my-api-{deployment['sha']}-production.localhost:47000"
    assert api.poked == [deployment["id"]]


async def test_every_field_is_taken_as_given(api: Api) -> None:
    app, artifact = await api.app(), await api.artifact()
    given = {
        "artifact_id": artifact["id"],
        "process_type": "tish",
        "replicas": 3,
        "resources": {"cpu": "0.5", "memory": "1Gi"},
        "networking": {"port": 8080, "protocol": "http", "health_path": "/health"},
        "env": {"LOG_LEVEL": "info"},
        "cold_start_enabled": False,
        "idle_timeout_secs": 1.5,
        "max_runtime_secs": 60,
        "volumes": [],
        "start_timeout_secs": 5,
        "stop_grace_secs": 0,
    }

    deployment = await api.deployment(app["id"], **given)

    assert deployment["spec"] == given | {"image": None}


async def test_default_spec_of_the_app_supplies_what_the_body_leaves_out(api: Api) -> None:
    app = await api.app(
        default_deployment_spec={
            "replicas": 4,
            "resources": {"memory": "256Mi"},
            "networking": {"health_path": "/up", "port": 9000},
            "env": {"A": "1", "B": "2", "C": "3"},
        }
    )

    deployment = await api.deployment(
        app["id"], resources={"cpu": "1"}, networking={"port": None}, env={"B": "x", "C": None}
    )

    assert deployment["spec"] == DEFAULT_SPEC | {
        "replicas": 4,
        "resources": {"cpu": "1", "memory": "256Mi"},
        "networking": {"port": None, "protocol": "http", "health_path": "/up"},
        "env": {"A": "1", "B": "x"},
    }


@pytest.mark.parametrize(
    ("body", "field", "hint"),
    [
        ({"replicas": -1}, "replicas", "0 to 100"),
        ({"replicas": 101}, "replicas", "0 to 100"),
        ({"replicas": 1.5}, "replicas", ""),
        ({"replicas": "1"}, "replicas", ""),
        ({"replicas": None}, "replicas", ""),
        ({"replica": 1}, "replica", "did you mean replicas?"),
        ({"networking": {"port": 0}}, "networking.port", "65535"),
        ({"networking": {"port": 65536}}, "networking.port", "65535"),
        ({"networking": {"prot": 80}}, "networking.prot", "did you mean port?"),
        ({"networking": {"health_path": "health"}}, "networking.health_path", "/health"),
        ({"networking": {"protocol": "udp"}}, "networking.protocol", ""),
        ({"resources": {"cpu": "fast"}}, "resources.cpu", "100m"),
        ({"resources": {"cpu": "0"}}, "resources.cpu", ""),
        ({"resources": {"memory": "128mb"}}, "resources.memory", "128Mi"),
        ({"resources": {"memory": "1"}}, "resources.memory", "1Mi"),
        ({"env": {"1A": "x"}}, "env", "letters"),
        ({"env": {"A": 1}}, "env", "variables"),
        ({"env": {"A": "\0"}}, "env.A", ""),
        ({"env": {"PORT": "80"}}, "env.PORT", "networking.port"),
        ({"env": {"A": "x" * 70_000}}, "env", ""),
        ({"idle_timeout_secs": 0}, "idle_timeout_secs", "31536000"),
        ({"idle_timeout_secs": 31_536_001}, "idle_timeout_secs", "31536000"),
        ({"max_runtime_secs": 0.5}, "max_runtime_secs", "at least 1"),
        ({"environment": "Production"}, "environment", "lower-case"),
        ({"environment": "x" * 31}, "environment", "30"),
        ({"artifact_id": "x"}, "artifact_id", "artifact"),
        ({"artifact_id": "00000000-0000-4000-8000-000000000000"}, "artifact_id", "upload"),
        ({"process_type": "vm"}, "process_type", ""),
        ({"cold_start_enabled": "yes"}, "cold_start_enabled", ""),
        ({"volumes": [{"host_path": "/a", "container_path": "/b"}]}, "volumes", ""),
        ({"volumes": [{"host_path": "/a"}]}, "volumes.0.container_path", ""),
    ],
)
async def test_bad_deployment_is_refused_by_field(api: Api, body: Json, field: str, hint: str) -> None:
    app = await api.app()

    status, error = await api.ask("POST", f"/api/v1/apps/{app['id']}/deployments", body)

    assert (status, error["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, field)
    assert hint in error.get("hint", "")
    assert error["error"].startswith("cannot ")
    assert api.poked == []


@pytest.mark.parametrize(
    "body",
    [
        {"process_type": "docker", "image": "nginx:latest"},
        {"process_type": "docker"},
        {"image": "nginx:latest"},
        {"networking": {"protocol": "tcp"}},
    ],
)
async def test_what_only_containers_have_is_not_implemented(api: Api, body: Json) -> None:
    app = await api.app()

    status, error = await api.ask("POST", f"/api/v1/apps/{app['id']}/deployments", body)
    stored, _ = await api.ask("POST", "/api/v1/apps", {"name": "x", "default_deployment_spec": body})

    assert (status, error["code"]) == (HTTPStatus.NOT_IMPLEMENTED, "NOT_IMPLEMENTED")
    assert stored == HTTPStatus.NOT_IMPLEMENTED


async def test_repeated_key_answers_the_first_result_and_adds_nothing(api: Api) -> None:
    app = await api.app()
    path, headers = f"/api/v1/apps/{app['id']}/deployments", {"Idempotency-Key": "k1"}

    first = await api.ask("POST", path, {"replicas": 2, "environment": "production"}, headers=headers)
    again = await api.ask("POST", path, {"environment": "production", "replicas": 2}, headers=headers)
    other = await api.ask("POST", path, {"replicas": 3}, headers=headers)

    assert first == again
    assert (other[0], other[1]["code"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é"])
async def test_bad_idempotency_key_is_refused(api: Api, key: str) -> None:
    app = await api.app()

    status, error = await api.ask(
        "POST", f"/api/v1/apps/{app['id']}/deployments", {}, headers={"Idempotency-Key": key}
    )

    assert (status, error["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, "Idempotency-Key")


async def test_deployments_of_an_app_are_read_by_version_cursor(api: Api) -> None:
    app = await api.app()
    for _ in range(5):
        await api.deployment(app["id"])
    path = f"/api/v1/apps/{app['id']}/deployments"

    seen, token = [], ""
    while True:
        _, window = await api.ask("GET", f"{path}?page_size=2&page_token={token}")
        seen.append([deployment["version"] for deployment in window["deployments"]])
        token = window["next_page_token"]
        if token is None:
            break

    assert seen == [[5, 4], [3, 2], [1]]


async def test_deployments_of_all_apps_are_listed_by_page(api: Api) -> None:
    one, two = await api.app("one"), await api.app("two")
    for app in (one, two, two):
        await api.deployment(app["id"])

    _, every = await api.ask("GET", "/api/v1/deployments?sort_by=created_at&sort_order=asc&page_size=2")
    _, of_two = await api.ask(
        "GET", f"/api/v1/deployments?app_id={two['id']}&sort_order=desc&sort_by=version"
    )

    assert (len(every["data"]), every["total"]) == (2, 3)
    assert [deployment["version"] for deployment in of_two["data"]] == [2, 1]


async def test_live_deployment_shows_what_it_does(api: Api) -> None:
    app = await api.app()
    deployment = await api.deployment(app["id"], environment="production")
    await activate(api, deployment, ready=1)

    _, shown = await api.ask("GET", f"/api/v1/deployments/{deployment['id']}")
    _, of_app = await api.ask("GET", f"/api/v1/apps/{app['id']}")

    assert (shown["status"], shown["state"], shown["activity"]) == ("running", "active", "running")
    assert (shown["tasks_ready"], shown["tasks_total"], shown["progress"]) == (1, 1, 100)
    assert shown["is_current"] is True
    assert shown["urls"] == ["http://hello-default.localhost:47000"]
    assert of_app["current"]["deployment_id"] == deployment["id"]
    assert of_app["current"]["activity"] == "running"


async def test_activity_follows_traffic_and_tasks(api: Api) -> None:
    app = await api.app()
    deployment = await api.deployment(app["id"])
    (task_id,) = await activate(api, deployment, ready=1)
    id_ = DeploymentId(deployment["id"])

    async def activity() -> str:
        _, shown = await api.ask("GET", f"/api/v1/deployments/{id_}")
        return str(shown["activity"])

    api.clock.seconds += 5
    assert await activity() == "idle"
    entry = api.router.resolve("hello-default.localhost")
    assert entry is not None
    upstream = api.router.take(entry)
    assert upstream is not None
    api.clock.seconds += 5
    assert await activity() == "running"
    api.router.give_back(upstream)
    api.router.withdraw(id_, task_id)
    assert await activity() == "asleep"
    waiter = api.router.wait(entry, lambda _: None)
    assert await activity() == "waking"
    waiter.cancel()
    api.router.refuse(id_, Refusal(reason="it exits with 3", until=api.clock.now() + 60))
    _, shown = await api.ask("GET", f"/api/v1/deployments/{id_}")
    assert (shown["activity"], shown["reason"]) == ("crashed", "it exits with 3")
    assert shown["retry_at"].startswith("2023-11-14T")


async def test_starting_task_of_a_sleeping_deployment_shows_as_waking(api: Api) -> None:
    app = await api.app()
    deployment = await api.deployment(app["id"])
    await activate(api, deployment)
    async with api.database.record() as tx:
        record = await deployments.get(tx, DeploymentId(deployment["id"]))
        assert record is not None
        task_id = new_task_id()
        await tasks.insert(tx, record, task_id, now=START)
    _, pending = await api.ask("GET", f"/api/v1/deployments/{deployment['id']}")

    await begin(api, task_id, TaskState.STARTING)
    _, starting = await api.ask("GET", f"/api/v1/deployments/{deployment['id']}")

    assert (pending["activity"], starting["activity"]) == ("asleep", "waking")


async def test_patch_changes_the_spec_in_place(api: Api) -> None:
    app = await api.app()
    deployment = await api.deployment(app["id"], env={"A": "1"}, resources={"cpu": "1"})

    status, changed = await api.ask(
        "PATCH",
        f"/api/v1/deployments/{deployment['id']}",
        {"spec": {"replicas": 3, "resources": {"memory": "1Gi"}, "env": {"B": "2"}}},
    )

    assert status == HTTPStatus.OK
    assert changed["id"] == deployment["id"]
    assert changed["spec"]["replicas"] == 3
    assert changed["spec"]["resources"] == {"cpu": "1", "memory": "1Gi"}
    assert changed["spec"]["env"] == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, HTTPStatus.UNPROCESSABLE_ENTITY, "spec"),
        ({"spec": {"replicas": 1000}}, HTTPStatus.UNPROCESSABLE_ENTITY, "spec.replicas"),
        ({"spec": {"networking": {"port": 99999}}}, HTTPStatus.UNPROCESSABLE_ENTITY, "spec.networking.port"),
        ({"spec": {"environment": "x"}}, HTTPStatus.UNPROCESSABLE_ENTITY, "spec.environment"),
        ({"replicas": 1}, HTTPStatus.UNPROCESSABLE_ENTITY, "replicas"),
        ({"spec": {"image": "nginx"}}, HTTPStatus.NOT_IMPLEMENTED, "image"),
    ],
)
async def test_bad_patch_is_refused_by_field(api: Api, body: Json, status: HTTPStatus, field: str) -> None:
    app = await api.app()
    deployment = await api.deployment(app["id"])

    answered, error = await api.ask("PATCH", f"/api/v1/deployments/{deployment['id']}", body)

    assert (answered, error["field"]) == (status, field)


async def test_cancelled_deployment_ends_and_may_be_cancelled_again(api: Api) -> None:
    app = await api.app()
    deployment = await api.deployment(app["id"])
    path = f"/api/v1/deployments/{deployment['id']}"

    first, cancelled = await api.ask("POST", f"{path}/cancel")
    again, _ = await api.ask("POST", f"{path}/cancel")
    changed, error = await api.ask("PATCH", path, {"spec": {"replicas": 1}})

    assert (first, again, changed) == (HTTPStatus.OK, HTTPStatus.OK, HTTPStatus.CONFLICT)
    assert (cancelled["status"], cancelled["activity"], cancelled["urls"]) == ("cancelled", "cancelled", [])
    assert error["code"] == "DEPLOYMENT_ENDED"


@pytest.mark.parametrize("verb", ["sleep", "wake", "restart"])
async def test_verbs_want_a_serving_deployment(api: Api, verb: str) -> None:
    app = await api.app()
    deployment = await api.deployment(app["id"])
    path = f"/api/v1/deployments/{deployment['id']}/{verb}"

    early, error = await api.ask("POST", path)
    await activate(api, deployment)
    served, shown = await api.ask("POST", path)

    assert (early, error["code"]) == (HTTPStatus.CONFLICT, "DEPLOYMENT_PENDING")
    assert (served, shown["id"]) == (HTTPStatus.OK, deployment["id"])
    assert api.poked[-1] == deployment["id"]


async def test_restart_of_a_stopped_deployment_makes_a_new_one(api: Api) -> None:
    app = await api.app()
    deployment = await api.deployment(app["id"])
    await activate(api, deployment)
    await api.ask("POST", f"/api/v1/deployments/{deployment['id']}/cancel")

    status, anew = await api.ask("POST", f"/api/v1/deployments/{deployment['id']}/restart")

    assert status == HTTPStatus.CREATED
    assert (anew["version"], anew["spec"]) == (2, deployment["spec"])


async def test_64_deployments_at_once_get_64_versions(api: Api) -> None:
    app = await api.app()

    made = await asyncio.gather(*(api.deployment(app["id"], env={"N": str(n)}) for n in range(64)))

    assert sorted(deployment["version"] for deployment in made) == list(range(1, 65))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/deployments/{}"),
        ("GET", "/api/v1/deployments/{}/tasks"),
        ("GET", "/api/v1/deployments/{}/logs"),
        ("GET", "/api/v1/deployments/{}/logs/stream"),
        ("POST", "/api/v1/deployments/{}/cancel"),
        ("POST", "/api/v1/deployments/{}/sleep"),
        ("POST", "/api/v1/deployments/{}/wake"),
        ("POST", "/api/v1/deployments/{}/restart"),
        ("GET", "/api/v1/apps/{}/deployments"),
        ("GET", "/api/v1/tasks/{}"),
        ("GET", "/api/v1/tasks/{}/logs"),
        ("POST", "/api/v1/tasks/{}/stop"),
        ("GET", "/api/v1/artifacts/{}"),
        ("GET", "/api/v1/artifacts/{}/download"),
        ("POST", "/api/v1/artifacts/{}/upload"),
        ("DELETE", "/api/v1/artifacts/{}"),
        ("DELETE", "/api/v1/apps/{}"),
    ],
)
@pytest.mark.parametrize("id_", ["00000000-0000-4000-8000-000000000000", "nonsense", "%00", "%ff"])
async def test_unknown_and_malformed_ids_are_not_found(api: Api, method: str, path: str, id_: str) -> None:
    async with api.client.request(method, api.url + path.format(id_)) as response:
        error = json.loads(await response.read())

    assert response.status == HTTPStatus.NOT_FOUND
    assert error["error"]


@pytest.mark.parametrize("app_id", ["00000000-0000-4000-8000-000000000000", "nonsense"])
async def test_deployment_for_an_unknown_app_is_not_found(api: Api, app_id: str) -> None:
    status, error = await api.ask("POST", f"/api/v1/apps/{app_id}/deployments", {})

    assert (status, error["code"]) == (HTTPStatus.NOT_FOUND, "APP_NOT_FOUND")
    assert await apps.get(api.database.reader, AppId(app_id)) is None
