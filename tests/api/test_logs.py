"""Tasks and what they wrote, over HTTP."""

import asyncio
import time
from http import HTTPStatus
from pathlib import Path

import pytest

from paas.core.ids import DeploymentId, TaskId, new_task_id
from paas.core.records import replace
from paas.core.states import TaskState
from paas.store import deployments, tasks
from paas.task_logs import LogLine, TaskLogs
from tests.api.conftest import Api, Json, serve
from tests.api.engine import activate, begin
from tests.api.streams import open_stream


async def running(api: Api, tasks_wanted: int = 1) -> tuple[Json, list[TaskId]]:
    """Make a deployment with running tasks whose logs are watched."""
    app = await api.app()
    deployment = await api.deployment(app["id"], replicas=tasks_wanted)
    ids = await activate(api, deployment, ready=tasks_wanted)
    for task_id in ids:
        api.logs.watch(task_id)
    return deployment, ids


def write(api: Api, task_id: TaskId, *lines: str) -> None:
    with api.logs.path(task_id).open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


async def add_task(api: Api, deployment: Json) -> TaskId:
    """Start another task of a deployment."""
    task_id = new_task_id()
    async with api.database.record() as tx:
        record = await deployments.get(tx, DeploymentId(deployment["id"]))
        assert record is not None
        await tasks.insert(tx, record, task_id, now=api.clock.now())
    await begin(api, task_id, TaskState.STARTING)
    api.logs.watch(task_id)
    return task_id


def messages(entries: object) -> list[str]:
    assert isinstance(entries, list)
    return [entry["message"] for entry in entries]


async def test_tasks_are_listed_and_read(api: Api) -> None:
    deployment, ids = await running(api, 3)

    _, every = await api.ask("GET", "/api/v1/tasks?page_size=2")
    _, own = await api.ask("GET", f"/api/v1/deployments/{deployment['id']}/tasks?page=2&page_size=2")
    status, one = await api.ask("GET", f"/api/v1/tasks/{ids[0]}")

    assert (len(every["data"]), every["total"]) == (2, 3)
    assert (len(own["data"]), own["total"], own["page"]) == (1, 3, 2)
    assert status == HTTPStatus.OK
    assert (one["id"], one["deployment_id"], one["node_id"]) == (ids[0], deployment["id"], "node")
    assert (one["state"], one["exit_code"], one["revision"]) == ("running", None, 1)


async def test_stop_of_a_task_is_a_wish_that_may_be_repeated(api: Api) -> None:
    deployment, (task_id,) = await running(api)

    first, shown = await api.ask("POST", f"/api/v1/tasks/{task_id}/stop")
    again, _ = await api.ask("POST", f"/api/v1/tasks/{task_id}/stop")
    task = await tasks.get(api.database.reader, task_id)

    assert (first, again, shown["id"]) == (HTTPStatus.OK, HTTPStatus.OK, task_id)
    assert task is not None
    assert task.stop_requested
    assert api.poked[-1] == deployment["id"]


async def test_logs_hold_the_last_lines_of_every_task(api: Api) -> None:
    deployment, ids = await running(api, 2)
    write(api, ids[0], "a1", "a2")
    write(api, ids[1], "b1", "b2")

    _, one = await api.ask("GET", f"/api/v1/tasks/{ids[0]}/logs?tail=1")
    _, both = await api.ask("GET", f"/api/v1/deployments/{deployment['id']}/logs")
    _, none = await api.ask("GET", f"/api/v1/deployments/{deployment['id']}/logs?tail=0")
    _, late = await api.ask("GET", f"/api/v1/deployments/{deployment['id']}/logs?since=2099-01-01T00:00:00Z")

    assert messages(one) == ["a2"]
    assert sorted(messages(both)) == ["a1", "a2", "b1", "b2"]
    assert set(both[0]) == {"timestamp", "message", "task_id", "process"}  # type: ignore[index]
    assert messages(none) == messages(late) == []


@pytest.mark.parametrize(
    ("query", "field"), [("tail=10001", "tail"), ("tail=-1", "tail"), ("since=x", "since")]
)
async def test_bad_log_window_is_refused(api: Api, query: str, field: str) -> None:
    _, (task_id,) = await running(api)

    status, error = await api.ask("GET", f"/api/v1/tasks/{task_id}/logs?{query}")

    assert (status, error["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, field)


async def test_stream_follows_tasks_that_come_later(api: Api) -> None:
    deployment, (first,) = await running(api)
    write(api, first, "one", "two", "three")

    async with open_stream(
        api.client, f"{api.url}/api/v1/deployments/{deployment['id']}/logs/stream?tail=2"
    ) as stream:
        before = await stream.take(2)
        write(api, first, "four")
        live = await stream.next()
        second = await add_task(api, deployment)
        write(api, second, "five")
        later = await stream.next()

    assert [frame.data["message"] for frame in (*before, live, later)] == ["two", "three", "four", "five"]
    assert later.data["task_id"] == second
    assert live.fields == ("id", "data")


async def test_stream_resumes_without_gap_or_repeat(api: Api) -> None:
    deployment, ids = await running(api, 2)
    url = f"{api.url}/api/v1/deployments/{deployment['id']}/logs/stream"
    for number in range(10):
        write(api, ids[number % 2], f"line {number}")
    got: list[str] = []
    last: str | None = None

    for _ in range(4):
        async with open_stream(api.client, url, last) as stream:
            for frame in await stream.take(3):
                got.append(frame.data["message"])
                last = frame.id
        write(api, ids[0], f"while away {len(got)}")
    async with open_stream(api.client, f"{url}?last_event_id={last}") as stream:
        got += [frame.data["message"] for frame in await stream.take(2)]

    assert sorted(got) == sorted(
        [*(f"line {number}" for number in range(10)), *(f"while away {count}" for count in (3, 6, 9, 12))]
    )


async def test_resumed_stream_leaves_out_what_the_tail_left_out(api: Api) -> None:
    deployment, ids = await running(api, 2)
    url = f"{api.url}/api/v1/deployments/{deployment['id']}/logs/stream"
    write(api, ids[0], "old")
    while (await api.logs.read(ids[0]))[0].at >= time.time() - 0.3:  # noqa: ASYNC110 - only time can pass
        await asyncio.sleep(0.05)
    write(api, ids[1], "new")
    async with open_stream(api.client, f"{url}?tail=1") as stream:
        frame = await stream.next()
    write(api, ids[0], "newest")

    async with open_stream(api.client, url, frame.id) as stream:
        resumed = await stream.next()

    assert (frame.data["message"], resumed.data["message"]) == ("new", "newest")


class SpeaksWhileRead(TaskLogs):
    """Logs to which a task writes its first line right after they were read."""

    async def read(
        self, task_id: TaskId, *, after: int = 0, tail: int | None = None, since: float | None = None
    ) -> list[LogLine]:
        found = await super().read(task_id, after=after, tail=tail, since=since)
        if not found:
            self.path(task_id).write_text("first\n", encoding="utf-8")
        return found


async def test_line_written_while_the_tail_is_read_is_not_lost(tmp_path: Path) -> None:
    logs = SpeaksWhileRead(tmp_path / "logs")
    async with serve(tmp_path, lambda parts: replace(parts, logs=logs)) as api:
        deployment, (task_id,) = await running(api)
        logs.watch(task_id)

        async with open_stream(
            api.client, f"{api.url}/api/v1/deployments/{deployment['id']}/logs/stream"
        ) as stream:
            assert (await stream.next()).data["message"] == "first"
        logs.close()


async def test_bad_position_of_a_stream_is_refused(api: Api) -> None:
    deployment, _ = await running(api)

    status, error = await api.ask(
        "GET", f"/api/v1/deployments/{deployment['id']}/logs/stream", headers={"Last-Event-ID": "x"}
    )

    assert (status, error["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, "Last-Event-ID")


async def set_secret(api: Api, deployment: Json, name: str, value: str) -> None:
    path = f"/api/v1/apps/{deployment['app_id']}/env-vars/{name}"
    await api.ask("PUT", path, {"value": value, "secret": True})


async def test_secrets_are_hidden_in_logs_also_what_they_were_before(api: Api) -> None:
    deployment, (task_id,) = await running(api)
    await set_secret(api, deployment, "KEY", "opensesame")
    await set_secret(api, deployment, "KEY", "first line\nsecond line")
    await set_secret(api, deployment, "GONE", "long forgotten")
    await api.ask("DELETE", f"/api/v1/apps/{deployment['app_id']}/env-vars/GONE")
    write(api, task_id, "opensesame!", "> second line", "long forgotten", "nothing")

    _, one = await api.ask("GET", f"/api/v1/tasks/{task_id}/logs")
    _, both = await api.ask("GET", f"/api/v1/deployments/{deployment['id']}/logs")

    assert messages(one) == messages(both) == ["***!", "> ***", "***", "nothing"]


async def test_secrets_are_hidden_in_a_live_log_also_those_of_tasks_that_come_later(api: Api) -> None:
    deployment, (task_id,) = await running(api)
    await set_secret(api, deployment, "KEY", "opensesame")
    write(api, task_id, "it is opensesame")

    async with open_stream(
        api.client, f"{api.url}/api/v1/deployments/{deployment['id']}/logs/stream"
    ) as stream:
        first = (await stream.next()).data
        await set_secret(api, deployment, "KEY", "abracadabra")
        write(api, await add_task(api, deployment), "opensesame or abracadabra")
        second = (await stream.next()).data

    assert (first["message"], second["message"]) == ("it is ***", "*** or ***")
