"""What GitHub is told: each change once, one comment a pull request, and nobody waits for it."""

import asyncio
import contextlib
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from paas.core.builds import Build
from paas.core.reports import Report
from paas.core.states import BuildState
from paas.core.urls import PublicUrls
from paas.engine.reports import Reports, ReportWorld
from paas.github.client import connected
from paas.store import builds as build_table
from paas.store import reports as report_table
from paas.store import transitions
from paas.vault import Vault
from tests.api.conftest import Api, Json, serve
from tests.github.payloads import HOOK, Payload, signed
from tests.github.server import TOKEN, GitHub, serving
from tests.waiting import until

SECRET = "s3cret"
FIRST, SECOND = "a" * 40, "b" * 40
URL = "https://127.0.0.1/owner/name"  # the host of the API below
DAY_SECS = 24 * 3600


@pytest.fixture
def github() -> Iterator[GitHub]:
    with serving("owner/name") as server:
        yield server


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(tmp_path) as found:
        yield found


@contextlib.asynccontextmanager
async def telling(api: Api, github: GitHub) -> AsyncIterator[None]:
    """Run the loop; leaving ends it as a kill would."""
    world = ReportWorld(
        database=api.database,
        vault=Vault(api.files.parent / "secrets.key"),
        clock=api.clock,
        api_url=github.url,
        connected=lambda: connected(github.url),
        urls=lambda: PublicUrls(scheme="http", domain="localhost", port=80),
        first_pause_secs=0.01,
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(Reports(world).run())
        try:
            yield
        finally:
            task.cancel()


async def app_of(api: Api, **source: object) -> Json:
    app = await api.app("shop")
    fields = {"repository_url": URL, "webhook_secret": SECRET, "token": TOKEN, "previews": True} | source
    status, config = await api.ask("PUT", f"/api/v1/apps/{app['id']}/source-config", fields)
    assert status == HTTPStatus.CREATED, config
    return app


async def push(api: Api, commit: str = FIRST) -> None:
    document = {"ref": "refs/heads/main", "after": commit, "repository": {"clone_url": URL}}
    await send(api, signed(SECRET, "push", document))


async def propose(api: Api, action: str = "opened", commit: str = FIRST) -> None:
    repository = {"clone_url": URL}
    document = {
        "action": action,
        "number": 7,
        "pull_request": {
            "head": {"ref": "feature", "sha": commit, "repo": repository},
            "base": {"repo": repository},
        },
        "repository": repository,
    }
    await send(api, signed(SECRET, "pull_request", document))


async def send(api: Api, payload: Payload) -> None:
    status, answer = await api.ask("POST", HOOK, data=payload.body.encode(), headers=payload.headers)
    assert status == HTTPStatus.ACCEPTED, answer


async def fail(api: Api, reason: str = "step 3 of 5, RUN make: exit code 2") -> Build:
    """Do what the engine would: begin the newest build, which fails."""
    found, _ = await build_table.page(api.parts.reader, limit=1, offset=0)
    async with api.database.record() as tx:
        build = await transitions.move_build(tx, found[0], BuildState.RUNNING, now=api.clock.now())
        return await transitions.move_build(
            tx, build, BuildState.FAILED, now=api.clock.now(), reason=reason, ended_at=api.clock.now()
        )


async def until_open(api: Api, holds: Callable[[list[Report]], bool]) -> None:
    """Wait until what is still to be told is as wanted."""
    async with asyncio.timeout(15):
        while not holds(await report_table.all_open(api.parts.reader)):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


async def test_a_pushed_commit_has_its_state_told_once_a_change(api: Api, github: GitHub) -> None:
    await app_of(api)

    async with telling(api, github):
        await push(api)
        await until(lambda: github.states_of(FIRST) == ["pending"])
        await fail(api, "x" * 500)
        await until(lambda: github.states_of(FIRST) == ["pending", "failure"])
        await push(api, SECOND)
        await until(lambda: github.states_of(SECOND) == ["pending"])

    told = github.states[1]
    assert told.context == "paas/default/shop/development"
    assert told.target_url == "http://shop-default-development.localhost"
    assert told.description.startswith("xxx")
    assert len(told.description) == 140
    assert github.states_of(FIRST) == ["pending", "failure"]


async def test_a_replaced_build_is_nobodys_failure(api: Api, github: GitHub) -> None:
    await app_of(api)

    async with telling(api, github):
        await push(api)
        await until(lambda: github.states_of(FIRST) == ["pending"])
        await push(api, SECOND)
        await until(lambda: github.states_of(FIRST) == ["pending", "error"])


async def test_a_pull_request_has_one_comment_that_is_changed(api: Api, github: GitHub) -> None:
    app = await app_of(api)

    async with telling(api, github):
        await propose(api)
        await until(lambda: len(github.comments) == 1)
        (comment,) = github.comments
        await fail(api, "no @recipe\n# fits")
        await until(lambda: len(comment.texts) == 2)
        await propose(api, "synchronize", SECOND)
        await until(lambda: len(comment.texts) == 3)
        await propose(api, "closed")
        await until(lambda: len(comment.texts) == 4)
        await until_open(api, lambda found: not found)  # nothing more is to be told

    building, failed, again, gone = comment.texts
    assert comment.number == 7
    assert all(str(app["id"]) in text for text in comment.texts)
    assert "`aaaaaaa` is being built" in building
    assert "http://shop-default-pr-7.localhost" in building
    assert "\n    no @recipe\n    # fits" in failed
    assert "`bbbbbbb` is being built" in again
    assert "gone" in gone
    assert len(github.comments) == 1


async def test_what_was_told_but_not_noted_makes_no_second_comment(api: Api, github: GitHub) -> None:
    await app_of(api)
    await propose(api)
    async with telling(api, github):
        await until(lambda: len(github.comments) == 1 and github.states)
    with sqlite3.connect(api.files.parent / "state.db") as raw:
        raw.execute("UPDATE reports SET told = NULL, comment_id = NULL")  # the agent ended before it noted
    raw.close()

    async with telling(api, github):
        await until(lambda: len(github.comments[0].texts) == 2)

    (comment,) = github.comments
    assert comment.texts[0] == comment.texts[1]


async def test_a_comment_that_somebody_deleted_is_written_anew(api: Api, github: GitHub) -> None:
    await app_of(api)

    async with telling(api, github):
        await propose(api)
        await until(lambda: len(github.comments) == 1)
        github.comments.clear()
        await propose(api, "synchronize", SECOND)
        await until(lambda: len(github.comments) == 1)

    assert "`bbbbbbb`" in github.comments[0].texts[0]


async def test_a_pull_request_that_is_reopened_during_its_farewell_is_told_of(
    api: Api, github: GitHub
) -> None:
    await app_of(api)

    async with telling(api, github):
        await propose(api)
        await until_open(api, lambda found: all(each.told for each in found))
        github.stalls = True
        await propose(api, "closed")
        await until(github.stalled.is_set)
        await propose(api, "reopened", SECOND)
        github.released.set()
        await until(lambda: "`bbbbbbb` is being built" in github.comments[0].texts[-1])

    assert "gone" in github.comments[0].texts[-2]


async def test_what_fails_is_told_again_later(api: Api, github: GitHub) -> None:
    await app_of(api)
    github.failures += [(502, {}), (403, {"Retry-After": "0"}), (429, {"Retry-After": "0"})]

    async with telling(api, github):
        await push(api)
        await until(lambda: github.states_of(FIRST) == ["pending"])

    assert len(github.heard) == 4


async def test_after_a_day_it_is_given_up_until_something_changes(api: Api, github: GitHub) -> None:
    app = await app_of(api)
    await api.ask("POST", f"/api/v1/apps/{app['id']}/environments", {"slug": "staging"})
    github.failures += [(502, {})] * 1000

    async with telling(api, github):
        await push(api)
        await until(lambda: len(github.heard) >= 2)
        api.clock.seconds += DAY_SECS
        await api.ask("DELETE", f"/api/v1/apps/{app['id']}/environments/staging")  # has it looked at
        await until_open(api, lambda found: found[0].told is not None and not found[0].attempts)
        heard = len(github.heard)
        github.failures.clear()
        await fail(api)  # worth a new try
        await until(lambda: github.states_of(FIRST) == ["failure"])

    assert len(github.heard) == heard + 1


async def test_a_token_that_is_not_allowed_to_is_not_tried_again(api: Api, github: GitHub) -> None:
    await app_of(api, token="of-somebody-else")

    async with telling(api, github):
        await push(api)
        await until(lambda: github.refused == 1)
        await fail(api)
        await until(lambda: github.refused == 2)

    assert github.states == []


@pytest.mark.parametrize("source", [{"token": None}, {"repository_url": "https://evil.example/owner/name"}])
async def test_no_token_goes_anywhere_but_to_its_own_host(api: Api, github: GitHub, source: Json) -> None:
    await app_of(api, **source)
    url = source.get("repository_url", URL)
    document = {"ref": "refs/heads/main", "after": FIRST, "repository": {"clone_url": url}}

    async with telling(api, github):
        await send(api, signed(SECRET, "push", document))
        await until_open(api, lambda found: not found)

    assert github.heard == []


async def test_a_host_that_is_away_keeps_nobody_waiting(api: Api, github: GitHub) -> None:
    await app_of(api)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # so that no other test's server is there
        away = GitHub("owner/name", url=f"http://127.0.0.1:{nobody.getsockname()[1]}")
        async with telling(api, away):
            await push(api)
            await fail(api)
            await until_open(api, lambda found: found[0].attempts > 1)

    async with telling(api, github):
        await until(lambda: github.states_of(FIRST) == ["failure"])
