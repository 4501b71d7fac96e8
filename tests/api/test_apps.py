"""Apps over HTTP."""

import asyncio
from http import HTTPStatus

import pytest

from tests.api.conftest import Api, Json


async def test_app_is_created_in_the_documented_shape(api: Api) -> None:
    status, app = await api.ask(
        "POST",
        "/api/v1/apps",
        {"name": "my-api", "namespace": "production", "description": "d", "labels": {"team": "a"}},
    )

    assert status == HTTPStatus.CREATED
    assert app["subdomain"] == "my-api-production"
    assert app["labels"] == {"team": "a"}
    assert app["default_deployment_spec"] is None
    assert app["url"] == "http://my-api-production.localhost:47000"
    assert app["current"] is None
    assert app["wake_policy"] == {"well_known": False, "health": False, "crawlers": False, "probes": False}
    assert str(app["created_at"]).endswith("Z")


async def test_app_is_found_by_id_by_name_and_by_subdomain(api: Api) -> None:
    app = await api.app("my-api", namespace="production")

    by_id = await api.ask("GET", f"/api/v1/apps/{app['id']}")
    by_upper_id = await api.ask("GET", f"/api/v1/apps/{str(app['id']).upper()}")
    by_name = await api.ask("GET", "/api/v1/apps/production/my-api")
    by_subdomain = await api.ask("GET", "/api/v1/apps/by-subdomain/my-api-production")

    assert [by_id, by_upper_id, by_name, by_subdomain] == [(HTTPStatus.OK, app)] * 4


async def test_app_called_deployments_is_not_taken_for_a_subresource(api: Api) -> None:
    app = await api.app("deployments", namespace="x")

    assert await api.ask("GET", "/api/v1/apps/x/deployments") == (HTTPStatus.OK, app)


async def test_second_app_with_the_same_subdomain_is_refused(api: Api) -> None:
    await api.app("c", namespace="a-b")

    status, body = await api.ask("POST", "/api/v1/apps", {"name": "b-c", "namespace": "a"})
    assert status == HTTPStatus.CREATED, body
    status, body = await api.ask("POST", "/api/v1/apps", {"name": "c-a", "namespace": "b"})

    assert status == HTTPStatus.CONFLICT
    assert body["code"] == "SUBDOMAIN_TAKEN"


async def test_one_of_many_that_want_a_name_at_once_gets_it(api: Api) -> None:
    answers = await asyncio.gather(*(api.ask("POST", "/api/v1/apps", {"name": "a"}) for _ in range(16)))

    assert sorted(status for status, _ in answers) == [HTTPStatus.CREATED] + [HTTPStatus.CONFLICT] * 15


@pytest.mark.parametrize(
    ("body", "field", "hint"),
    [
        ({"name": ""}, "name", "1 to 40"),
        ({"name": "a" * 41}, "name", "1 to 40"),
        ({"name": "-a"}, "name", "letters"),
        ({"name": "a-"}, "name", "letters"),
        ({"name": "a_b"}, "name", "letters"),
        ({"name": "a\n"}, "name", "letters"),
        ({"name": 3}, "name", "letters"),
        ({"namespace": "x"}, "name", "letters"),
        ({"name": "a", "namespace": "by-subdomain"}, "namespace", ""),
        ({"name": "a", "namespace": "a.b"}, "namespace", "letters"),
        ({"name": "a", "nmespace": "x"}, "nmespace", "namespace"),
        ({"name": "a", "labels": {"x": 1}}, "labels", "labels"),
        (
            {"name": "a", "default_deployment_spec": {"replica": 1}},
            "default_deployment_spec.replica",
            "replicas",
        ),
        (
            {"name": "a", "default_deployment_spec": {"networking": {"port": 0}}},
            "default_deployment_spec.networking.port",
            "65535",
        ),
        ({"name": "a", "wake_policy": {"probe": True}}, "wake_policy.probe", "probes"),
    ],
)
async def test_bad_app_is_refused_by_field(api: Api, body: Json, field: str, hint: str) -> None:
    status, error = await api.ask("POST", "/api/v1/apps", body)

    assert status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert error["field"] == field
    assert hint in str(error.get("hint", ""))
    assert str(error["error"]).startswith("cannot ")


async def test_apps_are_listed_by_page_in_the_order_asked_for(api: Api) -> None:
    for name in ("b", "a", "c"):
        await api.app(name)
    await api.app("d", namespace="other")

    _, first = await api.ask("GET", "/api/v1/apps?namespace=default&sort_by=name&sort_order=asc&page_size=2")
    _, second = await api.ask(
        "GET", "/api/v1/apps?namespace=default&sort_by=name&sort_order=asc&page_size=2&page=2"
    )

    assert [app["name"] for app in first["data"]] == ["a", "b"]
    assert [app["name"] for app in second["data"]] == ["c"]
    assert (second["total"], second["page"], second["page_size"]) == (3, 2, 2)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=x", "page"),
        ("page_size=101", "page_size"),
        ("sort_by=id", "sort_by"),
        ("sort_order=up", "sort_order"),
        ("nmespace=x", "nmespace"),
        ("page=1&page=2", "page"),
    ],
)
async def test_bad_list_parameter_is_refused_by_name(api: Api, query: str, field: str) -> None:
    status, error = await api.ask("GET", f"/api/v1/apps?{query}")

    assert (status, error["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, field)


async def test_update_changes_what_is_given_and_leaves_the_rest(api: Api) -> None:
    app = await api.app(description="old", labels={"a": "1"})

    status, changed = await api.ask(
        "PUT",
        f"/api/v1/apps/{app['id']}",
        {"default_deployment_spec": {"replicas": 2}, "wake_policy": {"probes": True}},
    )

    assert status == HTTPStatus.OK
    assert (changed["description"], changed["labels"]) == ("old", {"a": "1"})
    assert changed["default_deployment_spec"] == {"replicas": 2}
    assert changed["wake_policy"]["probes"] is True
    assert await api.ask("GET", f"/api/v1/apps/{app['id']}") == (HTTPStatus.OK, changed)


async def test_deleted_app_is_gone_with_its_deployments(api: Api) -> None:
    app = await api.app()
    deployment = await api.deployment(app["id"])

    deleted, _ = await api.ask("DELETE", f"/api/v1/apps/{app['id']}")
    again, error = await api.ask("DELETE", f"/api/v1/apps/{app['id']}")
    seen, _ = await api.ask("GET", f"/api/v1/deployments/{deployment['id']}")

    assert (deleted, again, seen) == (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND)
    assert error["code"] == "APP_NOT_FOUND"
    assert await api.app()


@pytest.mark.parametrize("path", ["/api/v1/apps/nonsense", "/api/v1/apps/a/b", "/api/v1/apps/by-subdomain/x"])
async def test_unknown_app_is_not_found(api: Api, path: str) -> None:
    status, error = await api.ask("GET", path)

    assert (status, error["code"]) == (HTTPStatus.NOT_FOUND, "APP_NOT_FOUND")
