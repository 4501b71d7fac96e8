"""Environments over HTTP: made by request or first use, with a host that nobody else has."""

from http import HTTPStatus

import pytest

from tests.api.conftest import Api, Json
from tests.api.engine import activate


async def of(api: Api, app: Json) -> list[Json]:
    status, found = await api.ask("GET", f"/api/v1/apps/{app['id']}/environments")
    assert (status, found["total"]) == (HTTPStatus.OK, len(found["data"]))
    return list(found["data"])


async def create(api: Api, app: Json, slug: str) -> tuple[int, Json]:
    return await api.ask("POST", f"/api/v1/apps/{app['id']}/environments", {"slug": slug})


async def test_an_app_comes_with_production_and_development(api: Api) -> None:
    app = await api.app()

    production, development = await of(api, app)

    assert (production["slug"], development["slug"]) == ("production", "development")
    assert production["url"] == "http://hello-default-production.localhost:47000"
    assert (production["current_deployment_id"], production["urls"]) == (None, [])
    assert production["pull_request"] is None


async def test_an_environment_is_made_shown_and_deleted(api: Api) -> None:
    app = await api.app()

    status, made = await create(api, app, "staging")
    shown = await api.ask("GET", f"/api/v1/apps/{app['id']}/environments/staging")
    deleted = await api.ask("DELETE", f"/api/v1/apps/{app['id']}/environments/staging")
    gone, _ = await api.ask("GET", f"/api/v1/apps/{app['id']}/environments/staging")

    assert (status, made["app_id"], made["slug"]) == (HTTPStatus.CREATED, app["id"], "staging")
    assert shown == (HTTPStatus.OK, made)
    assert deleted == (HTTPStatus.NO_CONTENT, {})
    assert gone == HTTPStatus.NOT_FOUND
    _, told = await api.ask("GET", f"/api/v1/events?app_id={app['id']}")
    kinds = [(event["kind"], event["facts"].get("environment")) for event in told["events"]]
    assert kinds[1:] == [("environment.created", "staging"), ("environment.deleted", "staging")]


async def test_the_first_deployment_makes_its_environment(api: Api) -> None:
    app = await api.app()
    deployment = await api.deployment(app["id"], environment="qa")
    assert [each["slug"] for each in await of(api, app)] == ["production", "development", "qa"]

    await activate(api, deployment, ready=1)

    _, shown = await api.ask("GET", f"/api/v1/apps/{app['id']}/environments/qa")
    assert shown["current_deployment_id"] == deployment["id"]
    assert (shown["current_version"], shown["activity"]) == (1, "running")


@pytest.mark.parametrize(
    ("slug", "status", "code"),
    [
        ("production", HTTPStatus.CONFLICT, "ENVIRONMENT_EXISTS"),
        ("Staging", HTTPStatus.UNPROCESSABLE_ENTITY, "INVALID"),
        ("a" * 31, HTTPStatus.UNPROCESSABLE_ENTITY, "INVALID"),
        ("-a", HTTPStatus.UNPROCESSABLE_ENTITY, "INVALID"),
    ],
)
async def test_what_is_there_or_fits_no_host_is_refused(api: Api, slug: str, status: int, code: str) -> None:
    answered, error = await create(api, await api.app(), slug)

    assert (answered, error["code"], error["field"]) == (status, code, "slug")


@pytest.mark.parametrize(
    ("slug", "status", "code"),
    [
        ("production", HTTPStatus.CONFLICT, "ENVIRONMENT_KEPT"),
        ("development", HTTPStatus.CONFLICT, "ENVIRONMENT_KEPT"),
        ("nothing", HTTPStatus.NOT_FOUND, "ENVIRONMENT_NOT_FOUND"),
    ],
)
async def test_what_every_app_has_and_what_is_not_there_cannot_be_deleted(
    api: Api, slug: str, status: int, code: str
) -> None:
    app = await api.app()

    answered, error = await api.ask("DELETE", f"/api/v1/apps/{app['id']}/environments/{slug}")

    assert (answered, error["code"]) == (status, code)


async def test_with_an_environment_go_its_deployments_and_its_port(api: Api) -> None:
    app = await api.app()
    tcp = {"protocol": "tcp"}
    serving = await api.deployment(app["id"], environment="qa", networking=tcp)
    await activate(api, serving)
    coming = await api.deployment(app["id"], environment="qa")
    other = await api.deployment(app["id"])
    api.poked.clear()

    await api.ask("DELETE", f"/api/v1/apps/{app['id']}/environments/qa")

    _, found = await api.ask("GET", f"/api/v1/apps/{app['id']}/deployments")
    assert [(each["id"], each["state"]) for each in found["deployments"]] == [
        (other["id"], "queued"),
        (coming["id"], "cancelled"),
        (serving["id"], "stopped"),
    ]
    assert set(api.poked) == {serving["id"], coming["id"]}
    again = await api.deployment((await api.app("two"))["id"], networking=tcp)
    assert again["tcp_address"] == serving["tcp_address"]


async def test_with_an_environment_go_its_variables_and_what_is_built_for_it(api: Api) -> None:
    app = await api.app()
    path = f"/api/v1/apps/{app['id']}"
    await create(api, app, "qa")
    await api.ask("PATCH", f"{path}/env-vars?environment=qa", {"env": {"A": "1"}})
    options = {"app_id": app["id"], "environment": "qa"}
    _, deploys = await api.ask("POST", "/api/v1/builds", data=b"x", params=options | {"deploy": "true"})
    _, builds = await api.ask("POST", "/api/v1/builds", data=b"x", params=options)

    await api.ask("DELETE", f"{path}/environments/qa")

    _, ended = await api.ask("GET", f"/api/v1/builds/{deploys['id']}")
    _, waiting = await api.ask("GET", f"/api/v1/builds/{builds['id']}")
    assert (ended["state"], ended["reason"]) == ("cancelled", "its environment was deleted")
    assert waiting["state"] == "queued"
    await create(api, app, "qa")
    status, left = await api.ask("GET", f"{path}/env-vars?environment=qa")
    assert (status, left["variables"]) == (HTTPStatus.OK, [])


async def test_no_two_have_one_host_whoever_comes_first(api: Api) -> None:
    await api.app("a", namespace="b")
    status, error = await api.ask("POST", "/api/v1/apps", {"name": "a", "namespace": "b-production"})
    assert (status, error["code"]) == (HTTPStatus.CONFLICT, "SUBDOMAIN_TAKEN")
    assert "the environment production of b/a" in error["error"]

    await api.app("c", namespace="d-development")
    status, error = await api.ask("POST", "/api/v1/apps", {"name": "c", "namespace": "d"})
    assert (status, error["code"]) == (HTTPStatus.CONFLICT, "SUBDOMAIN_TAKEN")


async def test_environments_of_two_apps_do_not_share_a_host(api: Api) -> None:
    one, two = await api.app("a", namespace="b"), await api.app("a", namespace="b-c")
    await create(api, two, "d")

    status, error = await create(api, one, "c-d")
    deployed, refused = await api.ask("POST", f"/api/v1/apps/{one['id']}/deployments", {"environment": "c-d"})

    assert (status, error["code"]) == (HTTPStatus.CONFLICT, "SUBDOMAIN_TAKEN")
    assert (deployed, refused["code"]) == (HTTPStatus.CONFLICT, "SUBDOMAIN_TAKEN")
    await api.ask("DELETE", f"/api/v1/apps/{two['id']}")
    assert (await create(api, one, "c-d"))[0] == HTTPStatus.CREATED


async def test_nobody_takes_the_preview_host_of_a_version(api: Api) -> None:
    app = await api.app("my-api")
    deployment = await api.deployment(app["id"])

    status, error = await api.ask(
        "POST", "/api/v1/apps", {"name": "my-api", "namespace": f"{deployment['sha']}-development"}
    )

    assert (status, error["code"]) == (HTTPStatus.CONFLICT, "SUBDOMAIN_TAKEN")
    assert "version 1 of default/my-api" in error["error"]


async def test_a_host_that_would_be_too_long_keeps_its_environment(api: Api) -> None:
    app = await api.app("n" * 30, namespace="s" * 32)

    production, _ = await of(api, app)

    label = production["url"].removeprefix("http://").partition(".")[0]
    assert len(label) == 63
    assert label == f"{app['subdomain'][:43]}-{app['id'][:8]}-production"
