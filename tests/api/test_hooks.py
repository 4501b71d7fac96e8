"""Deliveries of GitHub: who may bring one, what follows from it, and that it follows once."""

import asyncio
import contextlib
import hashlib
import hmac
import io
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlencode

import pytest

from paas.api.native.hooks import LIMIT_BYTES
from paas.core.builds import Build, Rollout, Source
from paas.store import builds as build_table
from tests.api.conftest import Api, Json
from tests.github.payloads import HOOK, PROPOSED, PUSHED, REPOSITORY, Payload, examples, signed

SECRET = "s3cret"
URL = f"https://github.com/{REPOSITORY}"
COMMIT = "a" * 40


async def app_of(api: Api, name: str = "hello", **source: object) -> Json:
    """Make an app with a source config."""
    app = await api.app(name)
    fields = {"repository_url": URL, "branch": "master", "webhook_secret": SECRET} | source
    status, config = await api.ask("PUT", f"/api/v1/apps/{app['id']}/source-config", fields)
    assert status == HTTPStatus.CREATED, config
    return app


async def send(
    api: Api, payload: Payload, headers: Mapping[str, str | None] | None = None
) -> tuple[int, Json]:
    laid = {**payload.headers, **(headers or {})}
    kept = {name: value for name, value in laid.items() if value is not None}
    return await api.ask("POST", HOOK, data=io.BytesIO(payload.body.encode()), headers=kept)


def push(branch: str = "master", *, secret: str = SECRET, commit: str = COMMIT, **fields: object) -> Payload:
    document = {"ref": f"refs/heads/{branch}", "after": commit, "repository": {"clone_url": f"{URL}.git"}}
    return signed(secret, "push", document | fields)


async def builds(api: Api) -> list[Build]:
    """List the builds, newest first."""
    found, _ = await build_table.page(api.parts.reader, limit=100, offset=0)
    return found


async def test_every_example_of_github_is_answered_and_only_pushes_build(api: Api) -> None:
    await app_of(api)
    payloads = examples(SECRET)
    expected = {}

    for payload in payloads:
        status, answer = await send(api, payload)
        about = (payload.json.get("repository") or {}).get("full_name", REPOSITORY)
        if about != REPOSITORY:
            assert (status, answer["code"]) == (HTTPStatus.UNAUTHORIZED, "SIGNATURE_INVALID"), payload
            continue
        expected[payload.delivery] = (status, answer)
        is_push = payload.event == "push" and payload.json["ref"] == "refs/heads/master"
        assert status == (HTTPStatus.ACCEPTED if is_push else HTTPStatus.OK), (payload, answer)
        assert [outcome["action"] for outcome in answer["outcomes"]] == ["build" if is_push else "none"]
        assert answer["outcomes"][0]["reason"]

    assert len(payloads) > 300
    made = await builds(api)
    assert len(made) == 2
    assert {build.source.ref for build in made} == {PUSHED}
    for payload in payloads:
        if payload.delivery in expected and payload.event in ("push", "ping"):
            assert await send(api, payload) == expected[payload.delivery]
    assert await builds(api) == made


async def test_a_push_to_the_branch_builds_its_commit_for_the_environment(api: Api) -> None:
    app = await app_of(api, path="web", environment="production")

    status, answer = await send(api, push())

    (build,) = await builds(api)
    assert status == HTTPStatus.ACCEPTED
    assert answer["outcomes"] == [
        {
            "app_id": app["id"],
            "action": "build",
            "reason": f"commit {COMMIT} of master is built and deployed to production",
            "environment": "production",
            "build_id": build.id,
        }
    ]
    assert (build.app_id, build.environment, build.state) == (app["id"], "production", "queued")
    assert build.source == Source(kind="git", url=URL, ref=COMMIT, path="web")
    assert build.rollout == Rollout(environment="production", cause="push")


async def test_a_delivery_that_comes_many_times_at_once_builds_once(api: Api) -> None:
    await app_of(api)
    payload = push()

    answers = await asyncio.gather(*(send(api, payload) for _ in range(5)))

    assert all(answer == answers[0] for answer in answers)
    assert len(await builds(api)) == 1


async def test_a_newer_push_replaces_a_build_that_is_not_done(api: Api) -> None:
    await app_of(api)
    await send(api, push())

    await send(api, push(commit="b" * 40))

    newer, older = await builds(api)
    assert (older.state, newer.state) == ("cancelled", "queued")
    assert newer.source.ref == "b" * 40
    assert newer.id in (older.reason or "")


@pytest.mark.parametrize(
    ("source", "payload", "reason"),
    [
        ({}, push("other"), "other"),
        ({"auto_deploy": False}, push(), "auto_deploy"),
        ({}, push(head_commit={"message": "words [skip ci]"}), "message"),
        ({}, push(deleted=True), "deleted"),
        ({}, push(ref="refs/tags/v1"), "tags"),
        ({}, signed(SECRET, "ping", {"zen": "x", "repository": {"clone_url": URL}}), "ping"),
        ({}, signed(SECRET, "no-such-event", {}), "no-such-event"),
    ],
)
async def test_what_is_left_alone_is_said(api: Api, source: Json, payload: Payload, reason: str) -> None:
    await app_of(api, **source)

    status, answer = await send(api, payload)

    assert status == HTTPStatus.OK
    assert [outcome["action"] for outcome in answer["outcomes"]] == ["none"]
    assert reason in answer["outcomes"][0]["reason"]
    assert await builds(api) == []


async def test_only_apps_whose_secret_signed_it_are_concerned(api: Api) -> None:
    first = await app_of(api, "first")
    second = await app_of(api, "second", webhook_secret="other")
    third = await app_of(api, "third", repository_url=f"{URL.lower()}.git")
    await app_of(api, "fourth", repository_url="https://github.com/somebody/else")
    await app_of(api, "fifth", webhook_secret=None)

    _, answer = await send(api, push())
    assert {outcome["app_id"] for outcome in answer["outcomes"]} == {first["id"], third["id"]}

    _, answer = await send(api, push(secret="other"))
    assert [outcome["app_id"] for outcome in answer["outcomes"]] == [second["id"]]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Hub-Signature-256": None},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": "sha256=" + "0" * 64},
        {"X-Hub-Signature-256": "sha1=" + "0" * 40},
        {"X-Hub-Signature-256": None, "X-Hub-Signature": "sha1=" + "0" * 40},
    ],
)
async def test_who_does_not_know_the_secret_learns_nothing(
    api: Api, headers: Mapping[str, str | None]
) -> None:
    await app_of(api)
    known, stranger = push(), signed(SECRET, "push", {"repository": {"clone_url": "https://a.example/b/c"}})

    refused = await send(api, known, headers)

    assert refused[0] == HTTPStatus.UNAUTHORIZED
    assert await send(api, stranger, headers) == refused
    assert await send(api, signed(SECRET, "push", "nonsense"), headers) == refused
    assert await builds(api) == []


async def test_the_signature_is_over_the_bytes_as_they_came(api: Api) -> None:
    await app_of(api)
    payload = push()

    status, _ = await api.ask(
        "POST", HOOK, data=payload.body.replace(" ", "").encode(), headers=payload.headers
    )

    assert status == HTTPStatus.UNAUTHORIZED


async def test_a_form_is_taken_too(api: Api) -> None:
    await app_of(api)
    plain = push()
    form = urlencode({"payload": plain.body})
    digest = hmac.new(SECRET.encode(), form.encode(), hashlib.sha256).hexdigest()

    status, _ = await api.ask(
        "POST",
        HOOK,
        data=form.encode(),
        headers=plain.headers
        | {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Hub-Signature-256": f"sha256={digest}",
        },
    )

    assert status == HTTPStatus.ACCEPTED
    assert len(await builds(api)) == 1


async def test_what_is_signed_and_no_delivery_is_refused(api: Api) -> None:
    await app_of(api)
    broken = signed(SECRET, "push", {"repository": {"clone_url": URL}})

    assert (await send(api, broken))[0] == HTTPStatus.BAD_REQUEST
    assert (await send(api, push(), {"X-GitHub-Event": None}))[0] == HTTPStatus.BAD_REQUEST
    assert (await send(api, push(), {"Content-Type": "text/plain"}))[0] == HTTPStatus.UNSUPPORTED_MEDIA_TYPE


async def test_a_body_larger_than_githubs_limit_is_refused_unread(api: Api) -> None:
    await app_of(api)
    payload = push()

    status, _ = await api.ask("POST", HOOK, data=io.BytesIO(bytes(LIMIT_BYTES + 1)), headers=payload.headers)

    assert status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


async def test_a_large_delivery_is_taken_and_one_of_nobody_is_not(api: Api) -> None:
    await app_of(api)
    filling: Json = {"commits": [{"message": "x" * 2_000_000}]}
    stranger: Json = {"repository": {"clone_url": "https://github.com/somebody/else"}}

    assert (await send(api, push(**filling)))[0] == HTTPStatus.ACCEPTED
    assert (await send(api, push(secret="other", **filling)))[0] == HTTPStatus.UNAUTHORIZED
    assert (await send(api, push(**filling | stranger)))[0] == HTTPStatus.UNAUTHORIZED


async def test_bodies_that_are_read_at_a_time_are_bounded(api: Api) -> None:
    await app_of(api)
    payload = push()
    endless = f"POST {HOOK} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LIMIT_BYTES}\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in payload.headers.items()
    )
    writers = []
    for _ in range(2):  # who never send what they announce
        _, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(f"{endless}\r\n".encode())
        writers.append(writer)

    headers = payload.headers | {"Content-Length": str(LIMIT_BYTES)}
    statuses = set()
    async with asyncio.timeout(10):
        while HTTPStatus.SERVICE_UNAVAILABLE not in statuses:
            status, _ = await api.ask("POST", HOOK, data=io.BytesIO(bytes(LIMIT_BYTES)), headers=headers)
            statuses.add(status)
    assert (await send(api, payload))[0] == HTTPStatus.ACCEPTED

    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_the_app_is_told_what_came_and_no_secret(api: Api) -> None:
    app = await app_of(api)
    payload = push()
    await send(api, payload)

    _, body = await api.ask("GET", f"/api/v1/events?app_id={app['id']}")

    (event,) = [event for event in body["events"] if event["kind"] == "delivery.received"]
    assert event["facts"] == {"delivery": payload.delivery, "event": "push", "action": "build"}
    assert SECRET not in str(body)


# Pull requests


def pull_request(action: str, *, number: int = 7, commit: str = COMMIT, head: str = URL) -> Payload:
    document = {
        "action": action,
        "number": number,
        "pull_request": {
            "state": "closed" if action == "closed" else "open",
            "head": {"ref": "feature", "sha": commit, "repo": {"clone_url": f"{head}.git"}},
            "base": {"repo": {"clone_url": f"{URL}.git"}},
        },
        "repository": {"clone_url": f"{URL}.git"},
    }
    return signed(SECRET, "pull_request", document)


async def slugs(api: Api, app: Json) -> list[str]:
    _, body = await api.ask("GET", f"/api/v1/apps/{app['id']}/environments")
    return [environment["slug"] for environment in body["data"]]


async def test_examples_of_pull_requests_make_and_delete_one_environment(api: Api) -> None:
    app = await app_of(api, previews=True)
    built = {"opened", "reopened", "synchronize"}

    for payload in examples(SECRET):
        if payload.event != "pull_request":
            continue
        before = await slugs(api, app)
        status, answer = await send(api, payload)
        (outcome,) = answer["outcomes"]
        if payload.action in built:
            assert (status, outcome["action"], outcome["environment"]) == (202, "build", "pr-2")
            assert "pr-2" in await slugs(api, app)
        elif payload.action == "closed" and "pr-2" in before:
            assert (status, outcome["action"], outcome["environment"]) == (202, "delete_environment", "pr-2")
            assert "pr-2" not in await slugs(api, app)
        else:
            assert (status, outcome["action"]) == (200, "none")
            assert await slugs(api, app) == before

    unfinished = [build for build in await builds(api) if build.state == "queued"]
    assert {build.source.ref for build in unfinished} == {PROPOSED}
    assert len(unfinished) == 1


async def test_a_pull_request_is_deployed_as_a_preview(api: Api) -> None:
    await app_of(api, previews=True)

    await send(api, pull_request("opened"))

    (build,) = await builds(api)
    assert build.rollout == Rollout(environment="pr-7", cause="pull_request", is_preview=True)


async def test_a_new_commit_replaces_the_build_of_the_one_before_it(api: Api) -> None:
    app = await app_of(api, previews=True)
    await send(api, pull_request("opened"))
    await send(api, push())  # another environment: not touched

    await send(api, pull_request("synchronize", commit="b" * 40))

    newest, pushed, first = await builds(api)
    assert (first.state, pushed.state, newest.state) == ("cancelled", "queued", "queued")
    assert (newest.environment, newest.source.ref) == ("pr-7", "b" * 40)
    assert (await slugs(api, app)).count("pr-7") == 1


async def test_a_closed_pull_request_takes_builds_and_environment_with_it(api: Api) -> None:
    app = await app_of(api, previews=True)
    await send(api, pull_request("opened"))
    await send(api, pull_request("opened", number=8))

    status, _ = await send(api, pull_request("closed"))

    assert status == HTTPStatus.ACCEPTED
    assert {build.environment: build.state.value for build in await builds(api)} == {
        "pr-7": "cancelled",
        "pr-8": "queued",
    }
    assert "pr-7" not in await slugs(api, app)
    status, answer = await send(api, pull_request("closed"))
    assert (status, answer["outcomes"][0]["action"]) == (HTTPStatus.OK, "none")


async def test_a_push_that_comes_after_the_end_makes_no_preview_that_nobody_ends(api: Api) -> None:
    app = await app_of(api, previews=True)
    await send(api, pull_request("opened"))
    await send(api, pull_request("closed"))

    status, answer = await send(api, pull_request("synchronize", commit="b" * 40))
    assert (status, answer["outcomes"][0]["action"]) == (HTTPStatus.OK, "none")
    assert "pr-7" not in await slugs(api, app)

    await send(api, pull_request("reopened"))
    status, _ = await send(api, pull_request("synchronize", commit="c" * 40))
    assert status == HTTPStatus.ACCEPTED
    assert "pr-7" in await slugs(api, app)


async def test_forks_are_not_built_and_nothing_is_without_previews(api: Api) -> None:
    app = await app_of(api, previews=True)
    quiet = await app_of(api, "quiet")

    _, answer = await send(api, pull_request("opened", head="https://github.com/stranger/Hello-World"))

    reasons = {outcome["app_id"]: outcome["reason"] for outcome in answer["outcomes"]}
    assert "fork" in reasons[app["id"]]
    assert "previews are off" in reasons[quiet["id"]]
    assert await builds(api) == []


async def test_an_environment_made_by_hand_is_left_alone(api: Api) -> None:
    app = await app_of(api, previews=True)
    status, body = await api.ask("POST", f"/api/v1/apps/{app['id']}/environments", {"slug": "pr-7"})
    assert status == HTTPStatus.CREATED, body

    for action in ("opened", "closed"):
        _, answer = await send(api, pull_request(action))
        assert answer["outcomes"][0]["action"] == "none"

    assert "pr-7" in await slugs(api, app)
    assert await builds(api) == []
