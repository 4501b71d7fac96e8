"""What tasks write: whole lines, their times, resuming, and a bound."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path

import pytest

from paas.core.ids import TaskId
from paas.task_logs import LogLine, TaskLogs
from tests.waiting import until

TASK = TaskId("3f0c7f9e-0000-4000-8000-000000000001")
OTHER = TaskId("3f0c7f9e-0000-4000-8000-000000000002")
LIMIT_S = 10


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[TaskLogs]:
    logs = TaskLogs(tmp_path / "logs", kept_bytes=256 * 1024)
    yield logs
    logs.close()


def write(logs: TaskLogs, content: bytes, task_id: TaskId = TASK) -> None:
    with logs.path(task_id).open("ab") as file:
        file.write(content)


def messages(lines: Iterable[LogLine]) -> list[str]:
    return [line.message for line in lines]


async def first(lines: AsyncIterator[LogLine], count: int) -> list[LogLine]:
    found: list[LogLine] = []
    async with asyncio.timeout(LIMIT_S):
        while len(found) < count:
            found.append(await anext(lines))
    return found


async def test_lines_are_read_with_the_offset_after_each(logs: TaskLogs) -> None:
    write(logs, "one\nzwölf\r\n\nno end".encode())

    lines = await logs.read(TASK)

    assert [(line.offset, line.message) for line in lines] == [
        (4, "one"),
        (12, "zwölf"),
        (13, ""),
        (19, "no end"),
    ]
    assert messages(await logs.read(TASK, after=4)) == ["zwölf", "", "no end"]
    assert messages(await logs.read(TASK, after=19)) == []


async def test_a_line_without_its_end_waits_while_the_task_lives(logs: TaskLogs) -> None:
    write(logs, b"one\ntw")
    logs.watch(TASK)

    living = await logs.read(TASK)
    logs.unwatch(TASK)

    assert messages(living) == ["one"]
    assert messages(await logs.read(TASK)) == ["one", "tw"]


async def test_an_unknown_task_wrote_nothing(logs: TaskLogs) -> None:
    assert await logs.read(TASK) == []
    assert await logs.read(TASK, tail=3) == []


async def test_bytes_that_are_no_text_are_replaced_and_colours_kept(logs: TaskLogs) -> None:
    write(logs, b"\xff\x1b[31mred\n")

    assert messages(await logs.read(TASK)) == ["�\x1b[31mred"]


async def test_a_very_long_line_comes_in_pieces(logs: TaskLogs) -> None:
    write(logs, b"x" * 200_000 + b"\nnext\n")

    lines = messages(await logs.read(TASK))

    assert [len(line) for line in lines] == [65536, 65536, 65536, 200_000 - 3 * 65536, 4]
    assert "".join(lines) == "x" * 200_000 + "next"


@pytest.mark.parametrize("tail", [0, 1, 3, 100])
async def test_the_tail_is_the_last_lines(logs: TaskLogs, tail: int) -> None:
    write(logs, b"".join(b"line %d\n" % number for number in range(10)))

    lines = messages(await logs.read(TASK, tail=tail))

    assert lines == [f"line {number}" for number in range(max(0, 10 - tail), 10)]


async def test_the_tail_of_a_big_file_is_whole(logs: TaskLogs) -> None:
    write(logs, b"".join(b"%d %s\n" % (number, b"y" * 2000) for number in range(3000)))

    lines = await logs.read(TASK, tail=1500)

    assert [int(line.message.split()[0]) for line in lines] == list(range(1500, 3000))


async def test_times_tell_when_a_line_was_written_and_outlive_the_reader(
    logs: TaskLogs, tmp_path: Path
) -> None:
    logs.watch(TASK)
    async with aclosing(logs.follow({TASK: 0})) as lines:
        before = time.time()
        write(logs, b"early\n")
        [early] = await first(lines, 1)
        between = time.time()
        await until(lambda: time.time() > between + 0.3)
        write(logs, b"late\n")
        [late] = await first(lines, 1)
    logs.close()

    again = await TaskLogs(tmp_path / "logs").read(TASK)

    assert before - 0.1 <= early.at <= between + 0.1 < late.at
    assert [(line.at, line.message) for line in again] == [(early.at, "early"), (late.at, "late")]
    assert messages(await logs.read(TASK, since=between + 0.1)) == ["late"]


async def test_following_starts_with_what_is_there_and_goes_on(logs: TaskLogs) -> None:
    write(logs, b"there\n")
    logs.watch(TASK)

    async with aclosing(logs.follow({TASK: 0})) as lines:
        assert messages(await first(lines, 1)) == ["there"]
        write(logs, b"new")
        write(logs, b"er\nnewest\n")
        assert messages(await first(lines, 2)) == ["newer", "newest"]
        write(logs, b"last words")
        logs.unwatch(TASK)
        assert messages(await first(lines, 1)) == ["last words"]


async def test_following_resumes_where_it_stopped_without_loss_or_repeat(logs: TaskLogs) -> None:
    logs.watch(TASK)
    seen: list[str] = []
    position = 0
    for turn in range(20):
        write(logs, b"".join(b"%d.%d\n" % (turn, number) for number in range(3)))
        async with aclosing(logs.follow({TASK: position})) as lines:
            for line in await first(lines, 1 if turn < 19 else 60 - len(seen)):
                seen.append(line.message)
                position = line.offset

    assert seen == [f"{turn}.{number}" for turn in range(20) for number in range(3)]


async def test_following_takes_up_tasks_that_start_later(logs: TaskLogs) -> None:
    known = [TASK]

    async def tasks() -> list[TaskId]:
        return known

    logs.watch(TASK)
    async with aclosing(logs.follow({}, tasks)) as lines:
        write(logs, b"a\n")
        assert messages(await first(lines, 1)) == ["a"]
        known.append(OTHER)
        write(logs, b"b\n", OTHER)
        logs.watch(OTHER)
        [line] = await first(lines, 1)

    assert (line.task_id, line.message) == (OTHER, "b")


async def test_many_followers_each_see_everything(logs: TaskLogs) -> None:
    logs.watch(TASK)

    async def follow() -> list[str]:
        async with aclosing(logs.follow({TASK: 0})) as lines:
            return messages(await first(lines, 50))

    async with asyncio.TaskGroup() as group:
        followers = [group.create_task(follow()) for _ in range(10)]
        for number in range(50):
            write(logs, b"%d\n" % number)
            await asyncio.sleep(0)

    assert all(follower.result() == [str(number) for number in range(50)] for follower in followers)


def is_small(path: Path) -> bool:
    return path.stat().st_blocks * 512 < 512 * 1024


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_flood_is_bounded_and_its_end_is_kept(logs: TaskLogs) -> None:
    logs.watch(TASK)
    for start in range(0, 60_000, 6000):
        write(logs, b"".join(b"%06d %s\n" % (number, b"z" * 90) for number in range(start, start + 6000)))
        await asyncio.sleep(0)

    await until(lambda: is_small(logs.path(TASK)))
    lines = await logs.read(TASK)

    numbers = [int(line.message.split()[0]) for line in lines]
    assert 2000 < len(numbers) < 6000
    assert numbers == list(range(60_000 - len(numbers), 60_000))
    assert lines[-1].offset == 60_000 * 98


async def test_what_is_written_last_while_it_is_bounded_is_bounded_too(logs: TaskLogs) -> None:
    write(logs, b"z" * 600 * 1024)
    logs.watch(TASK)
    while not is_small(logs.path(TASK)):
        time.sleep(0.001)  # noqa: ASYNC251 - so that the loop has not heard of its end yet
    write(logs, b"z" * 600 * 1024)
    logs.unwatch(TASK)

    await until(lambda: is_small(logs.path(TASK)))


async def test_a_follower_behind_the_bound_goes_on_with_whole_lines(logs: TaskLogs) -> None:
    write(logs, b"".join(b"%06d %s\n" % (number, b"z" * 90) for number in range(10_000)))
    logs.watch(TASK)
    await until(lambda: is_small(logs.path(TASK)))

    async with aclosing(logs.follow({TASK: 98})) as lines:
        [line] = await first(lines, 1)

    number, _, rest = line.message.partition(" ")
    assert int(number) > 1
    assert rest == "z" * 90


async def test_a_file_truncated_by_the_task_is_read_from_its_start(logs: TaskLogs) -> None:
    logs.watch(TASK)
    async with aclosing(logs.follow({TASK: 0})) as lines:
        write(logs, b"old\nolder\n")
        await first(lines, 2)
        os.truncate(logs.path(TASK), 0)
        write(logs, b"new\n")
        assert messages(await first(lines, 1)) == ["new"]


async def test_watching_and_unwatching_may_be_repeated_and_leave_no_descriptor(logs: TaskLogs) -> None:
    logs.watch(TASK)
    before = open_files()

    for _ in range(50):
        logs.watch(TASK)
        logs.unwatch(TASK)
        logs.unwatch(TASK)

    assert open_files() == before


async def test_logs_of_unknown_tasks_are_deleted_but_not_fresh_ones(logs: TaskLogs, tmp_path: Path) -> None:
    fresh = TaskId("3f0c7f9e-0000-4000-8000-000000000003")
    for task_id in (TASK, OTHER, fresh):
        write(logs, b"x\n", task_id)
    for task_id in (TASK, OTHER):
        os.utime(logs.path(task_id), (0, 0))

    await logs.keep_only([TASK])
    await logs.keep_only([TASK])

    assert sorted(path.stem for path in (tmp_path / "logs").glob("*.log")) == [TASK, fresh]


async def test_deleting_may_be_repeated(logs: TaskLogs, tmp_path: Path) -> None:
    logs.watch(TASK)
    write(logs, b"x\n")

    await logs.delete(TASK)
    await logs.delete(TASK)

    assert list((tmp_path / "logs").iterdir()) == []
