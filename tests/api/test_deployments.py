"""Deployments over HTTP."""

import asyncio
import json
from http import HTTPStatus

import pytest

from paas.core.ids import AppId, DeploymentId, new_task_id
from paas.core.live import Refusal
from paas.core.states import TaskState
from paas.store import apps, deployments, tasks
from tests.api.conftest import START, Api
from tests.api.engine import activate, begin
from tests.api.test_specs import DEFAULT_SPEC


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


async def test_one_key_used_at_once_makes_one_deployment(api: Api) -> None:
    app = await api.app()
    path, headers = f"/api/v1/apps/{app['id']}/deployments", {"Idempotency-Key": "k1"}

    made = await asyncio.gather(*(api.ask("POST", path, {}, headers=headers) for _ in range(32)))

    assert {(status, deployment["id"]) for status, deployment in made} == {(201, made[0][1]["id"])}


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
    api.router.note_frozen(id_, [task_id])
    assert await activity() == "frozen"
    api.router.note_frozen(id_, [])
    assert await activity() == "asleep"
    waiter = api.router.wait(entry, lambda _: None)
    assert await activity() == "waking"
    waiter.cancel()
    until = api.clock.now() + 60
    api.router.refuse(id_, Refusal(reason="not enough memory", until=until, is_fault=False))
    _, shown = await api.ask("GET", f"/api/v1/deployments/{id_}")
    assert (shown["activity"], shown["reason"]) == ("asleep", "not enough memory")
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
async def test_unknown_and_malformed_ids_are_not_found(api: Api, method: str, path: str) -> None:
    for id_ in ("00000000-0000-4000-8000-000000000000", "nonsense", "%00", "%ff"):
        async with api.client.request(method, api.url + path.format(id_)) as response:
            error = json.loads(await response.read())

        assert response.status == HTTPStatus.NOT_FOUND
        assert error["error"]


@pytest.mark.parametrize("app_id", ["00000000-0000-4000-8000-000000000000", "nonsense"])
async def test_deployment_for_an_unknown_app_is_not_found(api: Api, app_id: str) -> None:
    status, error = await api.ask("POST", f"/api/v1/apps/{app_id}/deployments", {})

    assert (status, error["code"]) == (HTTPStatus.NOT_FOUND, "APP_NOT_FOUND")
    assert await apps.get(api.database.reader, AppId(app_id)) is None
