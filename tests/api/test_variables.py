"""Variables of apps, environments and deployments: set, listed, imported, and secrets never shown."""

import asyncio
from http import HTTPStatus

import pytest

from paas.core.ids import DeploymentId
from tests.api.conftest import Api, Json
from tests.api.engine import activate

SECRET = "opensesame-of-the-cave"


async def paths(api: Api) -> tuple[str, str]:
    """Make an app with an active deployment, and name what both have variables below."""
    app = await api.app()
    deployment = await api.deployment(app["id"], environment="production")
    await activate(api, deployment, ready=1)
    api.poked.clear()
    return f"/api/v1/apps/{app['id']}", f"/api/v1/deployments/{deployment['id']}"


async def listed(api: Api, path: str) -> Json:
    status, body = await api.ask("GET", path)
    assert status == HTTPStatus.OK, body
    return {each["name"]: each["value"] for each in body["variables"]}


async def text(api: Api, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, str]:
    sent = None if body is None else body.encode()
    async with api.client.request(method, api.url + path, data=sent, headers=headers) as response:
        return response.status, await response.text()


@pytest.mark.parametrize("place", ["app", "environment", "deployment"])
async def test_variables_are_set_read_changed_and_deleted(api: Api, place: str) -> None:
    app, deployment = await paths(api)
    base = deployment if place == "deployment" else app
    query = "?environment=staging" if place == "environment" else ""
    path = f"{base}/env-vars/COLOUR{query}"

    made = await api.ask("PUT", path, {"value": "blue"})
    changed = await api.ask("PUT", path, {"value": "red"})

    assert (made[0], changed[0]) == (HTTPStatus.CREATED, HTTPStatus.OK)
    status, read = await api.ask("GET", path)
    assert status == HTTPStatus.OK
    assert read == changed[1]
    assert (read["value"], read["secret"], read["level"]) == ("red", False, place)
    assert read["environment"] == ("staging" if place == "environment" else None)
    assert await listed(api, f"{base}/env-vars{query}") == {"COLOUR": "red"}
    assert (await api.ask("DELETE", path))[0] == HTTPStatus.NO_CONTENT
    status, error = await api.ask("DELETE", path)
    assert (status, error["code"]) == (HTTPStatus.NOT_FOUND, "VARIABLE_NOT_FOUND")


async def test_a_secret_is_in_no_answer_event_or_file(api: Api) -> None:
    app, deployment = await paths(api)

    for base in (app, deployment):
        status, made = await api.ask("PUT", f"{base}/env-vars/KEY", {"value": SECRET, "secret": True})
        assert (status, made["value"], made["secret"]) == (HTTPStatus.CREATED, None, True)
        await api.ask("PATCH", f"{base}/env-vars", {"env": {"KEY": f"{SECRET}2", "OPEN": "yes"}})

        assert await listed(api, f"{base}/env-vars") == {"KEY": None, "OPEN": "yes"}
        for path in (base, f"{base}/env-vars", f"{base}/env-vars/KEY", f"{base}/env-file", "/api/v1/events"):
            _, answer = await text(api, "GET", path)
            assert SECRET not in answer, path
    _, shown = await api.ask("GET", deployment)
    assert shown["spec"]["env"] == {"OPEN": "yes"}
    _, exported = await text(api, "GET", f"{app}/env-file")
    assert exported == "# KEY is a secret\nOPEN=yes\n"


async def test_a_secret_stays_one_until_it_is_said_that_it_is_none(api: Api) -> None:
    app, _ = await paths(api)
    path = f"{app}/env-vars/KEY"
    await api.ask("PUT", path, {"value": "one", "secret": True})

    assert (await api.ask("PUT", path, {"value": "two"}))[1]["secret"] is True
    assert (await api.ask("PUT", path, {"value": "two", "secret": False}))[1]["value"] == "two"


async def test_a_file_is_laid_over_what_is_there_and_comes_back_as_it_was(api: Api) -> None:
    app, _ = await paths(api)
    await api.ask("PATCH", f"{app}/env-vars", {"env": {"KEPT": "1", "OLD": "1"}})
    file = 'export OLD=2\n# comment\nLINES="a\\nb" # two\nQUOTED=\'$x "y"\'\n'

    status, answer = await text(api, "POST", f"{app}/env-file", file, **{"Content-Type": "text/plain"})

    wanted = {"KEPT": "1", "OLD": "2", "LINES": "a\nb", "QUOTED": '$x "y"'}
    assert status == HTTPStatus.OK, answer
    assert await listed(api, f"{app}/env-vars") == wanted
    status, exported = await text(api, "GET", f"{app}/env-file")
    await api.ask("PATCH", f"{app}/env-vars", {"env": dict.fromkeys(wanted)})
    assert await listed(api, f"{app}/env-vars") == {}
    await text(api, "POST", f"{app}/env-file?secret=false", exported, **{"Content-Type": "text/plain"})
    assert await listed(api, f"{app}/env-vars") == wanted


async def test_no_file_is_an_empty_one(api: Api) -> None:
    app, _ = await paths(api)
    await api.ask("PATCH", f"{app}/env-vars", {"env": {"A": "1"}})

    status, _ = await api.ask("POST", f"{app}/env-file")

    assert status == HTTPStatus.OK
    assert await listed(api, f"{app}/env-vars") == {"A": "1"}


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        ("A=1\nB='", {}, HTTPStatus.UNPROCESSABLE_ENTITY, "line 2"),
        ("A=1\nPORT=80", {}, HTTPStatus.UNPROCESSABLE_ENTITY, "PORT"),
        ("A=1", {"Content-Type": "application/json"}, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "text/plain"),
        ("#" * 300_000, {}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "262144"),
        (f"A={'x' * 70_000}", {}, HTTPStatus.UNPROCESSABLE_ENTITY, "65536"),
    ],
)
async def test_a_bad_file_changes_nothing(
    api: Api, body: str, headers: dict[str, str], status: HTTPStatus, said: str
) -> None:
    app, _ = await paths(api)

    found, answer = await text(
        api, "POST", f"{app}/env-file", body, **{"Content-Type": "text/plain", **headers}
    )

    assert (found, said in answer) == (status, True), answer
    assert await listed(api, f"{app}/env-vars") == {}


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("1A", {"value": "x"}, HTTPStatus.UNPROCESSABLE_ENTITY),
        ("PORT", {"value": "80"}, HTTPStatus.UNPROCESSABLE_ENTITY),
        ("A", {"value": "\0"}, HTTPStatus.UNPROCESSABLE_ENTITY),
        ("A", {"value": 1}, HTTPStatus.UNPROCESSABLE_ENTITY),
        ("A", {"value": "x" * 70_000}, HTTPStatus.UNPROCESSABLE_ENTITY),
        ("A", {}, HTTPStatus.UNPROCESSABLE_ENTITY),
    ],
)
async def test_a_bad_variable_is_refused(api: Api, name: str, body: Json, status: HTTPStatus) -> None:
    app, _ = await paths(api)

    assert (await api.ask("PUT", f"{app}/env-vars/{name}", body))[0] == status
    assert (await api.ask("GET", f"{app}/env-vars?environment=nowhere"))[1]["code"] == "ENVIRONMENT_NOT_FOUND"


async def test_what_differs_replaces_the_tasks_concerned_once(api: Api) -> None:
    app, deployment = await paths(api)
    key = DeploymentId(deployment.rpartition("/")[2])

    async def revision() -> object:
        return await api.database.reader.value("SELECT revision FROM deployments WHERE id = ?", (key,))

    assert await revision() == 1
    await api.ask("PATCH", f"{app}/env-vars", {"env": {"A": "1", "B": "2", "C": "3"}})
    assert (await revision(), api.poked) == (2, [key])
    await api.ask("PATCH", f"{app}/env-vars", {"env": {"A": "1", "GONE": None}})
    await api.ask("PUT", f"{app}/env-vars/D?environment=staging", {"value": "elsewhere"})
    assert (await revision(), api.poked) == (2, [key])
    await api.ask("PUT", f"{app}/env-vars/D?environment=production", {"value": "here"})
    await api.ask("PUT", f"{deployment}/env-vars/D", {"value": "own"})
    await api.ask("PUT", app, {"default_deployment_spec": {"env": {"E": "5"}}})
    assert await revision() == 5
    await api.ask("PUT", app, {"default_deployment_spec": {"replicas": 2, "env": {"E": "5"}}})
    assert await revision() == 5


async def test_changes_at_the_same_time_are_all_kept(api: Api) -> None:
    app, _ = await paths(api)

    await asyncio.gather(
        *(api.ask("PUT", f"{app}/env-vars/N{n}", {"value": str(n)}) for n in range(40)),
        *(api.ask("PATCH", f"{app}/env-vars", {"env": {f"M{n}": str(n)}}) for n in range(10)),
    )

    wanted = {f"N{n}": str(n) for n in range(40)} | {f"M{n}": str(n) for n in range(10)}
    assert await listed(api, f"{app}/env-vars") == wanted


async def test_variables_of_an_ended_deployment_are_read_and_not_changed(api: Api) -> None:
    _, deployment = await paths(api)
    await api.ask("PUT", f"{deployment}/env-vars/A", {"value": "1"})
    await api.ask("POST", f"{deployment}/cancel")

    status, error = await api.ask("PUT", f"{deployment}/env-vars/A", {"value": "2"})

    assert (status, error["code"]) == (HTTPStatus.CONFLICT, "DEPLOYMENT_ENDED")
    assert await listed(api, f"{deployment}/env-vars") == {"A": "1"}


async def test_a_deployment_takes_a_variable_of_its_app_away_until_it_is_told_otherwise(api: Api) -> None:
    app, deployment = await paths(api)
    await api.ask("PATCH", f"{app}/env-vars", {"env": {"A": "1"}})
    await api.ask("PATCH", deployment, {"spec": {"env": {"A": None, "B": "2"}}})

    _, body = await api.ask("GET", f"{deployment}/env-vars")
    assert [(each["name"], each["value"], each["secret"]) for each in body["variables"]] == [
        ("A", None, False),
        ("B", "2", False),
    ]
    assert (await api.ask("DELETE", f"{deployment}/env-vars/A"))[0] == HTTPStatus.NO_CONTENT


async def test_what_is_repeated_or_restarted_has_the_own_variables_of_its_source(api: Api) -> None:
    app, deployment = await paths(api)
    await api.ask("PUT", f"{deployment}/env-vars/KEY", {"value": SECRET, "secret": True})
    await api.ask("PATCH", deployment, {"spec": {"env": {"A": "1", "B": None}}})
    await api.ask("POST", f"{deployment}/cancel")

    status, again = await api.ask("POST", f"{deployment}/restart")

    assert status == HTTPStatus.CREATED
    assert again["spec"]["env"] == {"A": "1"}
    path = f"/api/v1/deployments/{again['id']}/env-vars"
    assert await listed(api, path) == {"KEY": None, "A": "1", "B": None}
    mask = await api.parts.variables.mask_of(again["id"])
    assert mask.hide(f"it is {SECRET}") == "it is ***"
    assert app
