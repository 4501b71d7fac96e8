"""Builds over HTTP, without anybody who builds: what is taken, shown, streamed and refused."""

import asyncio
import io
from http import HTTPStatus

import pytest

from paas.core.builds import Rollout
from paas.core.ids import BuildId
from paas.core.states import BuildState
from paas.store import builds, transitions
from tests.api.conftest import UPLOAD_LIMIT, Api, Json
from tests.api.streams import LIMIT_SECS, Stream, open_stream
from tests.contexts import archive

TAR_GZ = {"Content-Type": "application/gzip"}


async def queued(api: Api, query: str = "", **options: object) -> Json:
    app = await api.app()
    status, build = await api.ask(
        "POST",
        f"/api/v1/builds?app_id={app['id']}{query}",
        data=archive("FROM scratch\n"),
        headers=TAR_GZ,
        **options,
    )
    assert status == HTTPStatus.ACCEPTED, build
    return build


async def move(api: Api, build: Json, *states: BuildState) -> None:
    async with api.database.record() as tx:
        for state in states:
            record = await builds.get(tx, BuildId(build["id"]))
            assert record is not None
            now = api.clock.now()
            if state is BuildState.RUNNING:
                await transitions.move_build(tx, record, state, now=now, started_at=now)
            else:
                await transitions.move_build(tx, record, state, now=now, ended_at=now, reason="told")
    api.parts.build_logs.announce()


async def say(api: Api, build: Json, *lines: str) -> None:
    await api.parts.build_logs.write(BuildId(build["id"]), lines)


async def test_build_is_taken_with_its_options(api: Api) -> None:
    build = await queued(api, '&dockerfile=docker//web&target=last&no_cache=true&build_args={"A":"1"}')

    assert build["state"] == "queued"
    assert (build["dockerfile"], build["target"], build["no_cache"]) == ("docker/web", "last", True)
    assert build["build_args"] == {"A": "1"}
    assert build["context_size"] == len(archive("FROM scratch\n"))
    status, found = await api.ask("GET", f"/api/v1/builds/{build['id']}")
    assert (status, found) == (HTTPStatus.OK, build)


async def test_app_may_be_named(api: Api) -> None:
    app = await api.app("hello", namespace="team")

    status, build = await api.ask(
        "POST", "/api/v1/builds?name=hello&namespace=team", data=archive(""), headers=TAR_GZ
    )

    assert (status, build["app_id"]) == (HTTPStatus.ACCEPTED, app["id"])


async def test_list_shows_the_newest_first_and_those_of_one_app(api: Api) -> None:
    first = await queued(api)
    other = await api.app("other")
    query = f"app_id={other['id']}"
    _, second = await api.ask("POST", f"/api/v1/builds?{query}", data=archive(""), headers=TAR_GZ)

    _, both = await api.ask("GET", "/api/v1/builds")
    _, one = await api.ask("GET", f"/api/v1/builds?{query}")

    assert [build["id"] for build in both["data"]] == [second["id"], first["id"]]
    assert ([build["id"] for build in one["data"]], one["total"]) == ([second["id"]], 1)


@pytest.mark.parametrize(
    ("query", "headers", "status", "code", "field"),
    [
        ("", TAR_GZ, 422, "INVALID", "app_id"),
        ("name=none", TAR_GZ, 404, "APP_NOT_FOUND", None),
        ("app_id=00000000-0000-0000-0000-000000000000", TAR_GZ, 404, "APP_NOT_FOUND", None),
        ("name=hello", {"Content-Type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE", None),
        ("name=hello&dockerfile=../x", TAR_GZ, 422, "INVALID", "dockerfile"),
        ("name=hello&dockerfile=/etc/passwd", TAR_GZ, 422, "INVALID", "dockerfile"),
        ("name=hello&build_args=[1]", TAR_GZ, 422, "INVALID", "build_args"),
        ("name=hello&build_args=x", TAR_GZ, 422, "INVALID", "build_args"),
        ("name=hello&target=a b", TAR_GZ, 422, "INVALID", "target"),
        ("name=hello&dockerfil=x", TAR_GZ, 422, "UNKNOWN_FIELD", "dockerfil"),
    ],
)
async def test_what_cannot_be_built_is_refused(
    api: Api, query: str, headers: dict[str, str], status: int, code: str, field: str | None
) -> None:
    await api.app()

    answer, body = await api.ask("POST", f"/api/v1/builds?{query}", data=b"bytes", headers=headers)

    assert (answer, body["code"], body.get("field")) == (status, code, field)


async def test_context_that_is_too_large_is_refused(api: Api) -> None:
    await api.app()

    status, body = await api.ask(
        "POST", "/api/v1/builds?name=hello", data=io.BytesIO(bytes(UPLOAD_LIMIT + 1)), headers=TAR_GZ
    )

    assert (status, body["code"]) == (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TOO_LARGE")
    assert (await api.ask("GET", "/api/v1/builds"))[1]["total"] == 0


async def test_cancel_is_repeatable_until_it_has_ended_otherwise(api: Api) -> None:
    build = await queued(api)
    path = f"/api/v1/builds/{build['id']}/cancel"

    answers = [await api.ask("POST", path) for _ in range(2)]

    assert [(status, body["state"]) for status, body in answers] == [(200, "cancelled")] * 2


async def test_failed_build_cannot_be_cancelled(api: Api) -> None:
    build = await queued(api)
    await move(api, build, BuildState.RUNNING, BuildState.FAILED)

    status, body = await api.ask("POST", f"/api/v1/builds/{build['id']}/cancel")

    assert (status, body["code"]) == (HTTPStatus.CONFLICT, "BUILD_ENDED")


async def test_unknown_build_is_not_found(api: Api) -> None:
    nobody = "00000000-0000-0000-0000-000000000000"
    for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/logs"), ("GET", "/logs/stream")):
        status, body = await api.ask(method, f"/api/v1/builds/{nobody}{path}")
        assert (status, body["code"]) == (HTTPStatus.NOT_FOUND, "BUILD_NOT_FOUND")


async def test_log_is_read_whole_its_end_or_from_a_place(api: Api) -> None:
    build = await queued(api)
    await say(api, build, "one", "", "three")
    path = f"/api/v1/builds/{build['id']}/logs"
    (first, *_) = await api.parts.build_logs.read(BuildId(build["id"]))

    async def read(query: str) -> list[str]:
        _, entries = await api.ask("GET", path + query)
        return [entry["message"] for entry in [*entries]]  # type: ignore[index]  # a list, not an object

    assert await read("") == ["one", "", "three"]
    assert await read("?tail=1") == ["three"]
    assert await read(f"?after={first.offset}") == ["", "three"]


async def test_stream_gives_what_was_said_and_what_comes_and_ends_with_the_build(api: Api) -> None:
    build = await queued(api)
    await move(api, build, BuildState.RUNNING)
    await say(api, build, "before")

    async with open_stream(api.client, f"{api.url}/api/v1/builds/{build['id']}/logs/stream") as stream:
        assert (await stream.next()).data["message"] == "before"
        await say(api, build, "after")
        assert (await stream.next()).data["message"] == "after"
        await move(api, build, BuildState.FAILED)
        await ended(stream)


async def test_stream_resumes_after_the_last_frame(api: Api) -> None:
    build = await queued(api)
    await move(api, build, BuildState.RUNNING)
    await say(api, build, "one", "two")
    url = f"{api.url}/api/v1/builds/{build['id']}/logs/stream"
    async with open_stream(api.client, url) as stream:
        first = await stream.next()

    await say(api, build, "three")
    await move(api, build, BuildState.FAILED)

    for query, last_id in (("", first.id), (f"?last_event_id={first.id}", None)):
        async with open_stream(api.client, url + query, last_id) as stream:
            assert [frame.data["message"] for frame in await stream.take(2)] == ["two", "three"]
            await ended(stream)


async def ended(stream: Stream) -> None:
    """Wait until the server ends the stream; nothing but comments may come before."""
    async with asyncio.timeout(LIMIT_SECS):
        rest = await stream.response.content.read()
    assert not rest.replace(b":", b"").strip()


async def test_repository_is_named_in_json(api: Api) -> None:
    app = await api.app()
    body = {
        "app_id": app["id"],
        "git": {"url": "https://git.example/me/hello.git", "ref": "v1", "path": "services//api/"},
        "environment": "staging",
        "deploy": True,
        "spec": {"replicas": 2},
        "recipe": "python",
        "commands": ["make"],
        "start": "./run",
    }

    status, build = await api.ask("POST", "/api/v1/builds", body)

    assert status == HTTPStatus.ACCEPTED, build
    source = {"kind": "git", "url": "https://git.example/me/hello.git", "ref": "v1", "path": "services/api"}
    assert build["source"] == source | {"commit": None, "sha256": None, "size": None}
    assert (build["environment"], build["deploy"], build["cause"]) == ("staging", True, "request")
    assert (build["recipe"], build["commands"], build["start"]) == ("python", ["make"], "./run")
    record = await builds.get(api.database.reader, BuildId(build["id"]))
    assert record is not None
    assert record.rollout == Rollout(environment="staging", spec={"replicas": 2})


async def test_archive_says_in_the_query_what_follows(api: Api) -> None:
    build = await queued(api, '&deploy=true&environment=production&path=web&commands=["make","make it"]')

    assert (build["deploy"], build["environment"]) == (True, "production")
    assert (build["source"]["path"], build["commands"]) == ("web", ["make", "make it"])
    assert build["source"]["size"] == build["context_size"]


async def test_list_shows_those_of_one_state(api: Api) -> None:
    build = await queued(api)

    for state, total in (("queued", 1), ("running", 0)):
        _, page = await api.ask("GET", f"/api/v1/builds?state={state}&app_id={build['app_id']}")
        assert page["total"] == total
    assert (await api.ask("GET", "/api/v1/builds?state=lost"))[0] == HTTPStatus.UNPROCESSABLE_ENTITY


GIT = {"url": "https://git.example/me/hello.git"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "git"),
        ({"git": GIT}, "app_id"),
        ({"name": "hello", "git": {}}, "git.url"),
        ({"name": "hello", "git": {"url": "file:///etc"}}, "git.url"),
        ({"name": "hello", "git": {"url": "https://me:secret@git.example/a/b"}}, "git.url"),
        ({"name": "hello", "git": GIT | {"ref": "--upload-pack=x"}}, "git.ref"),
        ({"name": "hello", "git": GIT | {"path": "../x"}}, "git.path"),
        ({"name": "hello", "git": GIT, "environment": "No!"}, "environment"),
        ({"name": "hello", "git": GIT, "deploy": True, "spec": {"replicas": -1}}, "spec.replicas"),
        ({"name": "hello", "git": GIT, "deploy": True, "spec": {"image": "nginx"}}, "spec.image"),
        ({"name": "hello", "git": GIT, "deploy": True, "spec": {"env": {"A": "1"}}}, "spec.env"),
        (
            {"name": "hello", "git": GIT, "deploy": True, "spec": {"resources": {"cpu": "x"}}},
            "spec.resources.cpu",
        ),
        ({"name": "hello", "git": GIT, "spec": {"replicas": 1}}, "spec"),
        ({"name": "hello", "git": GIT, "commands": ["a\nb"]}, "commands.0"),
        ({"name": "hello", "git": GIT, "dockerfile": "/x"}, "dockerfile"),
    ],
)
async def test_what_json_says_is_refused_by_field(api: Api, body: Json, field: str) -> None:
    await api.app()

    status, answer = await api.ask("POST", "/api/v1/builds", body)

    assert (status, answer.get("field")) == (HTTPStatus.UNPROCESSABLE_ENTITY, field), answer
    assert "secret" not in str(answer)


async def test_json_and_query_do_not_mix(api: Api) -> None:
    status, answer = await api.ask("POST", "/api/v1/builds?name=hello", {"git": GIT})

    assert (status, answer["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, "name")
