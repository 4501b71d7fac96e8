"""Registries: kept by host, shown without their passwords, and opened for pulls alone."""

import sqlite3
from http import HTTPStatus
from pathlib import Path

import pytest

from paas.api.native.requests import PutRegistry
from paas.core.errors import Unavailable
from paas.engine.registries import credentials
from paas.vault import Vault
from tests.api.conftest import Api, Json

PASSWORD = "hunter2-\N{SNOWMAN}"
PATH = "/api/v1/registries"


async def put(api: Api, host: str, username: str = "ann", password: str = PASSWORD) -> tuple[int, Json]:
    return await api.ask("PUT", f"{PATH}/{host}", {"username": username, "password": password})


async def opened(api: Api, tmp_path: Path, host: str) -> tuple[str, str] | None:
    """Do what the agent does for a pull."""
    return await credentials(api.parts.reader, Vault(tmp_path / "secrets.key"), host)


async def test_registry_is_created_replaced_and_deleted(api: Api, tmp_path: Path) -> None:
    created, registry = await put(api, "ghcr.io")
    assert created == HTTPStatus.CREATED
    assert (registry["host"], registry["username"]) == ("ghcr.io", "ann")
    assert set(registry) == {"host", "username", "created_at", "updated_at"}
    assert await opened(api, tmp_path, "ghcr.io") == ("ann", PASSWORD)

    replaced, changed = await put(api, "ghcr.io", "bob", "other")
    assert replaced == HTTPStatus.OK
    assert (changed["username"], changed["created_at"]) == ("bob", registry["created_at"])
    assert await opened(api, tmp_path, "ghcr.io") == ("bob", "other")

    deleted, _ = await api.ask("DELETE", f"{PATH}/ghcr.io")
    again, error = await api.ask("DELETE", f"{PATH}/ghcr.io")
    seen, _ = await api.ask("GET", f"{PATH}/ghcr.io")
    assert (deleted, again, seen) == (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND)
    assert error["code"] == "REGISTRY_NOT_FOUND"
    assert await opened(api, tmp_path, "ghcr.io") is None


@pytest.mark.parametrize(
    ("put_as", "asked_as"),
    [
        ("index.docker.io", "docker.io"),
        ("docker.io", "index.docker.io"),
        ("https%3A%2F%2Findex.docker.io%2Fv1%2F", "docker.io"),
        ("GHCR.IO", "ghcr.io"),
        ("registry.example:5000", "registry.example:5000"),
        ("localhost%3A5000", "localhost:5000"),
    ],
)
async def test_a_host_is_the_same_however_it_is_written(
    api: Api, tmp_path: Path, put_as: str, asked_as: str
) -> None:
    assert (await put(api, put_as))[0] == HTTPStatus.CREATED

    assert await opened(api, tmp_path, asked_as) == ("ann", PASSWORD)
    assert (await api.ask("GET", f"{PATH}/{asked_as}"))[0] == HTTPStatus.OK
    assert (await put(api, asked_as))[0] == HTTPStatus.OK
    assert (await api.ask("DELETE", f"{PATH}/{put_as}"))[0] == HTTPStatus.NO_CONTENT


async def test_another_port_is_another_registry(api: Api, tmp_path: Path) -> None:
    await put(api, "registry.example:5000")

    assert await opened(api, tmp_path, "registry.example") is None
    assert await opened(api, tmp_path, "registry.example:5001") is None


@pytest.mark.parametrize("host", ["", "not a host", "library"])
async def test_what_is_no_host_has_no_password(api: Api, tmp_path: Path, host: str) -> None:
    assert await opened(api, tmp_path, host) is None


async def test_list_shows_every_host_and_no_password(api: Api) -> None:
    for host in ("ghcr.io", "docker.io", "a.example"):
        await put(api, host)

    async with api.client.get(f"{api.url}{PATH}?page_size=2") as response:
        text = await response.text()
        body = await response.json()

    assert [registry["host"] for registry in body["data"]] == ["a.example", "docker.io"]
    assert (body["total"], body["page_size"]) == (3, 2)
    assert "password" not in text
    assert PASSWORD not in text


@pytest.mark.parametrize(
    ("host", "body", "field"),
    [
        ("registry", {"username": "ann", "password": PASSWORD}, "host"),
        ("a%20b", {"username": "ann", "password": PASSWORD}, "host"),
        ("ghcr.io", {"username": "", "password": PASSWORD}, "username"),
        ("ghcr.io", {"username": "a:b", "password": PASSWORD}, "username"),
        ("ghcr.io", {"username": "a\nb", "password": PASSWORD}, "username"),
        ("ghcr.io", {"username": "a" * 256, "password": PASSWORD}, "username"),
        ("ghcr.io", {"username": "ann"}, "password"),
        ("ghcr.io", {"username": "ann", "password": ""}, "password"),
        ("ghcr.io", {"username": "ann", "password": PASSWORD * 10_000}, "password"),
        ("ghcr.io", {"username": "ann", "password": {"value": PASSWORD}}, "password"),
        ("ghcr.io", {"username": "ann", "pasword": PASSWORD}, "pasword"),
    ],
)
async def test_bad_registry_is_refused_by_field_and_keeps_nothing(
    api: Api, tmp_path: Path, host: str, body: Json, field: str
) -> None:
    status, error = await api.ask("PUT", f"{PATH}/{host}", body)

    assert (status, error["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, field)
    assert PASSWORD not in str(error)
    assert (await api.ask("GET", PATH))[1]["total"] == 0
    assert not (tmp_path / "secrets.key").exists()


async def test_password_that_is_no_text_is_refused(api: Api) -> None:
    status, error = await api.ask(
        "PUT",
        f"{PATH}/ghcr.io",
        data=b'{"username": "ann", "password": "\\ud800"}',
        headers={"Content-Type": "application/json"},
    )

    assert status == HTTPStatus.BAD_REQUEST, error


async def test_a_key_that_cannot_be_written_is_said_and_tried_again(api: Api, tmp_path: Path) -> None:
    (tmp_path / "secrets.key.new").mkdir()  # in the way, as a full disk would be

    status, error = await put(api, "ghcr.io")

    assert (status, error["code"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE")
    assert "cannot write the key" in str(error["error"])
    assert (await api.ask("GET", PATH))[1]["total"] == 0
    (tmp_path / "secrets.key.new").rmdir()
    assert (await put(api, "ghcr.io"))[0] == HTTPStatus.CREATED


def test_a_request_does_not_show_its_password() -> None:
    assert PASSWORD not in repr(PutRegistry(username="ann", password=PASSWORD))


async def test_changes_are_told_without_the_password(api: Api) -> None:
    await put(api, "ghcr.io")
    await api.ask("DELETE", f"{PATH}/ghcr.io")

    _, body = await api.ask("GET", "/api/v1/events")

    assert [(event["kind"], event["facts"]) for event in body["events"]] == [
        ("registry.set", {"host": "ghcr.io", "username": "ann"}),
        ("registry.deleted", {"host": "ghcr.io"}),
    ]


async def test_a_box_that_was_moved_to_another_host_is_not_used(api: Api, tmp_path: Path) -> None:
    await put(api, "ghcr.io")
    await put(api, "evil.example", "eve", "eve's own")
    with sqlite3.connect(tmp_path / "state.db") as raw:
        raw.execute(
            "UPDATE registries SET sealed_password = (SELECT sealed_password FROM registries"
            " WHERE host = 'ghcr.io') WHERE host = 'evil.example'"
        )
    raw.close()

    with pytest.raises(
        Unavailable, match=r"evil\.example of registry: .*: paas registry login evil\.example$"
    ):
        await opened(api, tmp_path, "evil.example")

    assert await opened(api, tmp_path, "ghcr.io") == ("ann", PASSWORD)
