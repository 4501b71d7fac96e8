"""Source configs: kept by app, shown without their secrets, which go nowhere but to their repository."""

import sqlite3
from http import HTTPStatus
from pathlib import Path

import pytest

from paas.api.native.source_fields import PutSource
from paas.core.errors import Unavailable
from paas.core.ids import AppId
from paas.engine.sources import git_token, webhook_secret
from paas.store import source_configs
from paas.vault import Vault
from tests.api.conftest import Api, Json

URL = "https://github.com/owner/name"
TOKEN, SECRET = "ghp-hunter2", "whsec-hunter3"
GIVEN = {"repository_url": URL, "token": TOKEN, "webhook_secret": SECRET}


async def put(api: Api, app: Json, **fields: object) -> tuple[int, Json]:
    return await api.ask("PUT", _path(app), {"repository_url": URL, **fields})


def _path(app: Json) -> str:
    return f"/api/v1/apps/{app['id']}/source-config"


async def token_of(api: Api, tmp_path: Path, app: Json, url: str = URL) -> str | None:
    """Do what the agent does for a fetch."""
    return await git_token(api.parts.reader, Vault(tmp_path / "secrets.key"), AppId(str(app["id"])), url)


async def secrets_of(api: Api, tmp_path: Path, *repositories: str) -> list[str]:
    """Do what the agent does for a delivery."""
    vault = Vault(tmp_path / "secrets.key")
    found = await source_configs.candidates(api.parts.reader, repositories)
    return [await webhook_secret(vault, config, sealed) for config, sealed in found]


async def test_a_source_is_created_replaced_and_deleted(api: Api, tmp_path: Path) -> None:
    app = await api.app()

    created, config = await put(api, app, **GIVEN)
    assert created == HTTPStatus.CREATED
    assert config == {
        "app_id": app["id"],
        "type": "github",
        "repository_url": URL,
        "branch": "main",
        "path": "",
        "has_token": True,
        "has_webhook_secret": True,
        "auto_deploy": True,
        "previews": False,
        "environment": "development",
        "created_at": config["created_at"],
        "updated_at": config["updated_at"],
    }
    assert await api.ask("GET", _path(app)) == (HTTPStatus.OK, config)

    replaced, changed = await put(api, app, branch="trunk", path="a/./b", previews=True, auto_deploy=False)
    assert replaced == HTTPStatus.OK
    assert (changed["branch"], changed["path"], changed["previews"]) == ("trunk", "a/b", True)
    assert (changed["has_token"], changed["created_at"]) == (True, config["created_at"])
    assert await token_of(api, tmp_path, app) == TOKEN

    deleted, _ = await api.ask("DELETE", _path(app))
    again, error = await api.ask("DELETE", _path(app))
    assert (deleted, again, error["code"]) == (
        HTTPStatus.NO_CONTENT,
        HTTPStatus.NOT_FOUND,
        "SOURCE_NOT_FOUND",
    )
    assert (await api.ask("GET", _path(app)))[0] == HTTPStatus.NOT_FOUND
    assert await token_of(api, tmp_path, app) is None


async def test_secrets_are_taken_away_by_null_and_by_another_repository(api: Api, tmp_path: Path) -> None:
    app = await api.app()
    await put(api, app, **GIVEN)

    _, config = await put(api, app, token=None)
    assert (config["has_token"], config["has_webhook_secret"]) == (False, True)

    await put(api, app, **GIVEN)
    _, config = await put(api, app, repository_url=f"{URL.upper().replace('HTTPS', 'https')}.git")
    assert (config["has_token"], config["has_webhook_secret"]) == (True, True)

    _, config = await put(api, app, repository_url="https://github.com/owner/other")
    assert (config["has_token"], config["has_webhook_secret"]) == (False, False)


async def test_a_token_goes_to_its_own_repository_only(api: Api, tmp_path: Path) -> None:
    app = await api.app()
    await put(api, app, **GIVEN)

    assert await token_of(api, tmp_path, app, f"{URL}.git") == TOKEN
    for other in ("https://evil.example/owner/name", "https://github.com/owner/name2", "nonsense"):
        assert await token_of(api, tmp_path, app, other) is None


async def test_a_delivery_is_held_against_the_apps_of_its_repository(api: Api, tmp_path: Path) -> None:
    first, second, third = await api.app("a"), await api.app("b"), await api.app("c")
    await put(api, first, **GIVEN)
    await put(api, second, **GIVEN | {"repository_url": "https://github.com/owner/other"})
    await put(api, third, token=TOKEN)  # without a webhook secret

    assert await secrets_of(api, tmp_path, "github.com/owner/name") == [SECRET]
    assert await secrets_of(api, tmp_path) == [SECRET, SECRET]
    await api.ask("DELETE", f"/api/v1/apps/{first['id']}")
    assert await secrets_of(api, tmp_path, "github.com/owner/name") == []


async def test_secrets_open_with_the_next_key(api: Api, tmp_path: Path) -> None:
    app = await api.app()
    await put(api, app, **GIVEN)

    status, answer = await api.ask("POST", "/api/v1/secrets/rotate-key")

    assert (status, answer["sealed_anew"]) == (HTTPStatus.OK, 2)
    assert await token_of(api, tmp_path, app) == TOKEN
    assert await secrets_of(api, tmp_path, "github.com/owner/name") == [SECRET]


async def test_nothing_shows_a_secret(api: Api, tmp_path: Path) -> None:
    app = await api.app()
    _, put_answer = await put(api, app, **GIVEN)
    _, read = await api.ask("GET", _path(app))
    _, events = await api.ask("GET", "/api/v1/events")
    shown = f"{put_answer} {read} {events} {PutSource(**GIVEN)!r}"  # type: ignore[arg-type]

    assert "source.set" in shown
    files = b"".join(path.read_bytes() for path in tmp_path.glob("state.db*"))
    for secret in (TOKEN, SECRET):
        assert secret not in shown
        assert secret.encode() not in files


async def test_a_box_that_was_moved_to_another_app_is_not_used(api: Api, tmp_path: Path) -> None:
    first, second = await api.app("a"), await api.app("b")
    await put(api, first, **GIVEN)
    await put(api, second, token="eve's-own")
    with sqlite3.connect(tmp_path / "state.db") as raw:
        raw.execute(
            "UPDATE source_configs SET sealed_token = (SELECT sealed_token FROM source_configs"
            " WHERE app_id = ?) WHERE app_id = ?",
            (first["id"], second["id"]),
        )
    raw.close()

    with pytest.raises(Unavailable, match="git-token"):
        await token_of(api, tmp_path, second)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"repository_url": "git@github.com:owner/name.git"}, 422, "repository_url"),
        ({"repository_url": "http://github.com/owner/name"}, 422, "repository_url"),
        ({"repository_url": "https://x:y@github.com/owner/name"}, 422, "repository_url"),
        ({}, 422, "repository_url"),
        ({"repository_url": URL, "type": "gitlab"}, 501, "type"),
        ({"repository_url": URL, "type": "svn"}, 422, "type"),
        ({"repository_url": URL, "branch": "-x"}, 422, "branch"),
        ({"repository_url": URL, "branch": "a..b"}, 422, "branch"),
        ({"repository_url": URL, "branch": "a b"}, 422, "branch"),
        ({"repository_url": URL, "branch": ""}, 422, "branch"),
        ({"repository_url": URL, "path": "/etc"}, 422, "path"),
        ({"repository_url": URL, "path": "a/../../b"}, 422, "path"),
        ({"repository_url": URL, "environment": "Prod!"}, 422, "environment"),
        ({"repository_url": URL, "token": ""}, 422, "token"),
        ({"repository_url": URL, "webhook_secret": "a b"}, 422, "webhook_secret"),
        ({"repository_url": URL, "tokens": "x"}, 422, "tokens"),
    ],
)
async def test_a_bad_source_is_refused_by_field_and_keeps_nothing(
    api: Api, tmp_path: Path, body: Json, status: int, field: str
) -> None:
    app = await api.app()

    answered, error = await api.ask("PUT", _path(app), body)

    assert (answered, error["field"]) == (status, field)
    assert (await api.ask("GET", _path(app)))[0] == HTTPStatus.NOT_FOUND
    assert not (tmp_path / "secrets.key").exists()


async def test_the_source_of_an_app_that_is_not_there_is_not_found(api: Api) -> None:
    app = {"id": "00000000-0000-4000-8000-000000000000"}

    status, error = await put(api, app)

    assert (status, error["code"]) == (HTTPStatus.NOT_FOUND, "APP_NOT_FOUND")
