"""Apps that speak no HTTP, in the API: their port, and what does not go together."""

from http import HTTPStatus

import pytest

from tests.api.conftest import Api, Json

TCP = {"protocol": "tcp"}
FIRST, LAST = 47100, 47199


async def test_the_first_free_port_is_given_and_kept(api: Api) -> None:
    one, two = await api.app(name="one"), await api.app(name="two")

    first = await api.deployment(one["id"], networking=TCP)
    second = await api.deployment(two["id"], networking=TCP)
    again = await api.deployment(one["id"], networking=TCP)
    production = await api.deployment(one["id"], networking=TCP, environment="production")

    addresses = [each["tcp_address"] for each in (first, second, again, production)]
    assert addresses == [f"localhost:{port}" for port in (FIRST, FIRST + 1, FIRST, FIRST + 2)]
    assert first["urls"] == [f"tcp://localhost:{FIRST}"]
    assert first["preview_url"] == f"tcp://localhost:{FIRST}"
    assert first["spec"]["networking"]["proxy_port"] is None


async def test_an_app_says_where_it_is_reached(api: Api) -> None:
    app = await api.app()
    assert app["tcp_address"] is None
    await api.deployment(app["id"], networking=TCP)

    _, shown = await api.ask("GET", f"/api/v1/apps/{app['id']}")

    assert shown["tcp_address"] == f"localhost:{FIRST}"
    assert shown["url"] == f"tcp://localhost:{FIRST}"


async def test_an_http_deployment_has_no_port(api: Api) -> None:
    app = await api.app()

    deployment = await api.deployment(app["id"])

    assert deployment["tcp_address"] is None
    assert deployment["urls"][0].startswith("http://")


@pytest.mark.parametrize(
    ("networking", "field", "hint"),
    [
        (TCP | {"health_path": "/up"}, "networking.health_path", "null"),
        ({"proxy_port": FIRST}, "networking.proxy_port", "networking.protocol to tcp"),
        (TCP | {"proxy_port": FIRST - 1}, "networking.proxy_port", "proxy.tcp_first_port"),
        (TCP | {"proxy_port": LAST + 1}, "networking.proxy_port", "proxy.tcp_last_port"),
        (TCP | {"proxy_port": 0}, "networking.proxy_port", "given once and kept"),
        (TCP | {"proxy_port": "x"}, "networking.proxy_port", "given once and kept"),
    ],
)
async def test_what_does_not_go_together_is_refused_by_field(
    api: Api, networking: Json, field: str, hint: str
) -> None:
    app = await api.app()

    status, error = await api.ask("POST", f"/api/v1/apps/{app['id']}/deployments", {"networking": networking})

    assert (status, error["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, field)
    assert hint in error["hint"]


async def test_a_port_that_another_has_is_refused_also_by_patch(api: Api) -> None:
    one, two = await api.app(name="one"), await api.app(name="two")
    await api.deployment(one["id"], networking=TCP)
    other = await api.deployment(two["id"], networking=TCP)

    status, error = await api.ask(
        "PATCH",
        f"/api/v1/deployments/{other['id']}",
        {"spec": {"networking": {"proxy_port": FIRST}}},
    )

    assert (status, error["code"]) == (HTTPStatus.CONFLICT, "PORT_TAKEN")
    assert error["field"] == "spec.networking.proxy_port"
    _, shown = await api.ask("GET", f"/api/v1/deployments/{other['id']}")
    assert shown["tcp_address"] == f"localhost:{FIRST + 1}"


async def test_the_ports_of_a_deleted_app_are_free_again(api: Api) -> None:
    one, two = await api.app(name="one"), await api.app(name="two")
    await api.deployment(one["id"], networking=TCP)

    await api.ask("DELETE", f"/api/v1/apps/{one['id']}")

    deployment = await api.deployment(two["id"], networking=TCP)
    assert deployment["tcp_address"] == f"localhost:{FIRST}"


async def test_back_to_http_drops_the_wanted_port(api: Api) -> None:
    app = await api.app()
    deployment = await api.deployment(app["id"], networking=TCP | {"proxy_port": FIRST + 5})

    _, changed = await api.ask(
        "PATCH",
        f"/api/v1/deployments/{deployment['id']}",
        {"spec": {"networking": {"protocol": "http"}}},
    )

    assert changed["spec"]["networking"]["proxy_port"] is None
    assert changed["tcp_address"] is None


async def test_all_ports_taken_is_said(api: Api) -> None:
    app = await api.app()
    for number in range(LAST - FIRST + 1):
        await api.deployment(app["id"], networking=TCP, environment=f"e{number}")

    status, error = await api.ask(
        "POST", f"/api/v1/apps/{app['id']}/deployments", {"networking": TCP, "environment": "more"}
    )

    assert (status, error["code"]) == (HTTPStatus.CONFLICT, "NO_PORT_FREE")
    assert error["field"] == "networking.proxy_port"
