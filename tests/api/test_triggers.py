"""deploy/trigger: what is built, how long the answer waits, and what a repeated request gets."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from pathlib import Path

import pytest

from paas.core.builds import Build, Rollout, Source
from paas.core.records import replace
from paas.core.states import BuildState
from paas.store import builds as build_table
from paas.store import transitions
from tests.api.conftest import Api, Json, serve

URL = "https://github.com/owner/name"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
AT_ONCE = {"Prefer": "respond-async"}


async def app_of(api: Api, name: str = "hello", **source: object) -> Json:
    app = await api.app(name)
    status, config = await api.ask(
        "PUT", f"/api/v1/apps/{app['id']}/source-config", {"repository_url": URL} | source
    )
    assert status == HTTPStatus.CREATED, config
    return app


async def trigger(
    api: Api, app: Json, body: Json | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Json]:
    return await api.ask("POST", f"/api/v1/apps/{app['id']}/deploy/trigger", body or {}, headers=headers)


async def builds(api: Api) -> list[Build]:
    found, _ = await build_table.page(api.parts.reader, limit=100, offset=0)
    return found


@pytest.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(tmp_path, lambda parts: replace(parts, build_wait_secs=0.05)) as running:
        yield running


async def test_an_app_without_a_source_is_a_conflict_that_says_what_to_do(api: Api) -> None:
    app = await api.app()

    for body in ({}, {"skip_build": True}):
        status, error = await trigger(api, app, body)
        assert (status, error["code"]) == (HTTPStatus.CONFLICT, "SOURCE_NOT_CONFIGURED")
        assert "source-config" in str(error["hint"])


@pytest.mark.parametrize(
    ("body", "ref", "environment"),
    [
        ({}, "trunk", "development"),
        ({"branch": "other", "environment": "production"}, "other", "production"),
        ({"ref": COMMIT}, COMMIT, "development"),
        ({"branch": "other", "ref": COMMIT, "environment": "staging"}, COMMIT, "staging"),
    ],
)
async def test_what_is_asked_is_built_for_its_environment(
    api: Api, body: Json, ref: str, environment: str
) -> None:
    app = await app_of(api, branch="trunk", path="web", environment="production")

    status, answer = await trigger(api, app, body, AT_ONCE)

    (build,) = await builds(api)
    assert status == HTTPStatus.ACCEPTED
    assert (answer["build_id"], answer["status"]) == (build.id, "building")
    assert build.id in str(answer["message"])
    assert build.source == Source(kind="git", url=URL, ref=ref, path="web")
    assert build.rollout == Rollout(environment=environment, cause="trigger")


async def test_a_build_that_takes_longer_goes_on_and_the_answer_says_where(impatient: Api) -> None:
    app = await app_of(impatient)

    status, answer = await trigger(impatient, app)

    (build,) = await builds(impatient)
    assert (status, answer["build_id"]) == (HTTPStatus.ACCEPTED, build.id)
    assert build.state is BuildState.QUEUED


async def test_a_build_that_fails_is_answered_with_its_reason(api: Api) -> None:
    app = await app_of(api)

    async with asyncio.TaskGroup() as group:
        asked = group.create_task(trigger(api, app))
        await _end(api, BuildState.FAILED, "cannot fetch: the branch main is not there")
    status, error = asked.result()

    (build,) = await builds(api)
    assert (status, error["code"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, "BUILD_FAILED")
    assert "the branch main is not there" in str(error["error"])
    assert build.id in str(error["error"])


async def test_a_client_that_leaves_cancels_nothing(api: Api) -> None:
    app = await app_of(api)

    async with asyncio.TaskGroup() as group:
        asked = group.create_task(trigger(api, app))
        await _queued(api)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await asked

    (build,) = await builds(api)
    assert build.state is BuildState.QUEUED


async def test_a_repeated_request_finds_the_first_build(api: Api) -> None:
    app = await app_of(api)
    key = AT_ONCE | {"Idempotency-Key": "k-1"}

    first = await trigger(api, app, None, key)

    assert await trigger(api, app, None, key) == first
    assert (await trigger(api, app, {"branch": "x"}, key))[1]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert len(await builds(api)) == 1
    await trigger(api, app, None, AT_ONCE | {"Idempotency-Key": "k-2"})
    assert [build.state.value for build in await builds(api)] == ["queued", "queued"]


async def test_without_a_build_there_is_nothing_to_skip(api: Api) -> None:
    app = await app_of(api)
    await trigger(api, app, None, AT_ONCE)  # queued, not built

    status, error = await trigger(api, app, {"skip_build": True})

    assert (status, error["code"]) == (HTTPStatus.CONFLICT, "NO_BUILD")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"branch": "--upload-pack=x"}, "branch"),
        ({"branch": "a..b"}, "branch"),
        ({"ref": "-x"}, "ref"),
        ({"ref": ""}, "ref"),
        ({"environment": "No!"}, "environment"),
        ({"skip_builds": True}, "skip_builds"),
    ],
)
async def test_what_cannot_be_built_is_refused_by_field(api: Api, body: Json, field: str) -> None:
    app = await app_of(api)

    status, error = await trigger(api, app, body)

    assert (status, error["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, field)
    assert await builds(api) == []


async def _end(api: Api, state: BuildState, reason: str) -> None:
    """Do what the engine would: begin the only build, and end it."""
    build = await _queued(api)
    async with api.database.record() as tx:
        build = await transitions.move_build(tx, build, BuildState.RUNNING, now=api.clock.now())
        await transitions.move_build(tx, build, state, now=api.clock.now(), reason=reason)


async def _queued(api: Api) -> Build:
    """Wait for the only build."""
    async for event in api.parts.feed.follow(0):
        if event.kind == "build.queued":
            break
    (build,) = await builds(api)
    return build
