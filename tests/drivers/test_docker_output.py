"""What real containers write, copied by agents that die at any moment."""

import asyncio
import contextlib
import random
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from paas.core.errors import Unavailable
from paas.core.ids import TaskId
from paas.core.model import TaskSpec
from paas.core.records import replace
from paas.drivers.docker import DockerDriver
from paas.drivers.docker_containers import name_of
from paas.drivers.docker_frames import LOST
from paas.drivers.docker_output import output
from paas.log_copy import LogCopy
from tests.contract.docker_rig import DockerRig
from tests.docker_engine import ask, engine_socket
from tests.harness import REPOSITORY
from tests.waiting import until

LINES = 3000
# Bursts of numbered lines on both streams, the last one of each without its end.
NUMBERED = f"""i=0
while [ $i -lt {LINES} ]; do
    i=$((i+1)); echo out $i; echo err $i >&2
    [ $((i % 500)) -eq 0 ] && sleep 0.2
done
printf 'out end'; printf 'err end' >&2"""
COPIER = """
import asyncio, sys
from pathlib import Path
from paas.drivers.docker_output import output
from paas.log_copy import LogCopy

async def copy():
    log = LogCopy(Path(sys.argv[3]), Path(sys.argv[4]))
    print("copies", flush=True)
    async for cursor, content in output(Path(sys.argv[1]), sys.argv[2], log.resume()):
        log.append(content, cursor)
    log.finish()

asyncio.run(copy())
"""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[DockerRig]:
    rig = DockerRig(engine_socket(), tmp_path)
    yield rig
    await asyncio.to_thread(rig.clear)


@pytest.fixture
async def driver(rig: DockerRig) -> AsyncIterator[DockerDriver]:
    async with rig.driver() as driver:
        yield driver


async def started(driver: DockerDriver, spec: TaskSpec) -> TaskId:
    await driver.start(replace(spec, cpu_millis=2000))
    return spec.task_id


async def written(driver: DockerDriver, task_id: TaskId, after: str = "") -> bytes:
    async with contextlib.aclosing(driver.output(task_id, after)) as pieces:
        return b"".join([content async for _, content in pieces])


def per_stream(content: bytes) -> tuple[list[str], list[str]]:
    """Take the streams apart again; their last lines have no ends."""
    whole = content.decode()
    return re.findall(r"out (?:\d+|end)", whole), re.findall(r"err (?:\d+|end)", whole)


def expected(stream: str) -> list[str]:
    return [f"{stream} {number}" for number in range(1, LINES + 1)] + [f"{stream} end"]


async def test_both_streams_come_whole_and_in_order(rig: DockerRig, driver: DockerDriver) -> None:
    task_id = await started(driver, rig.spec(NUMBERED))

    content = await written(driver, task_id)

    assert per_stream(content) == (expected("out"), expected("err"))
    assert len(content) == sum(len(line) + 1 for each in ("out", "err") for line in expected(each)) - 2


async def test_a_copy_that_is_killed_again_and_again_has_each_line_once(
    rig: DockerRig, driver: DockerDriver, tmp_path: Path
) -> None:
    chance = random.Random(7)
    task_id = await started(driver, rig.spec(NUMBERED))
    log, place = tmp_path / "a.log", tmp_path / "a.place"

    def copy(limit_secs: float) -> bool:
        copier = subprocess.Popen(
            [sys.executable, "-c", COPIER, str(rig.socket), name_of(task_id), str(log), str(place)],
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
        )
        assert copier.stdout is not None
        copier.stdout.readline()
        try:
            return copier.wait(limit_secs) == 0
        except subprocess.TimeoutExpired:
            copier.kill()
            copier.wait()
            return False
        finally:
            copier.stdout.close()

    for _ in range(8):
        await asyncio.to_thread(copy, chance.uniform(0, 0.3))
    assert await asyncio.to_thread(copy, 60)

    assert per_stream(log.read_bytes()) == (expected("out"), expected("err"))


async def test_every_cursor_is_a_place_to_go_on_from(rig: DockerRig, driver: DockerDriver) -> None:
    task_id = await started(driver, rig.spec(NUMBERED))
    copied, cursor = b"", ""

    while True:  # one piece, then a new start
        async with contextlib.aclosing(driver.output(task_id, cursor)) as pieces:
            piece = await anext(pieces, None)
        if piece is None:
            break
        cursor = piece[0]
        copied += piece[1]

    assert per_stream(copied) == (expected("out"), expected("err"))


async def test_lines_longer_than_the_engine_takes_at_once_stay_whole(
    rig: DockerRig, driver: DockerDriver
) -> None:
    long = "x" * 40_000
    script = f"i=0; while [ $i -lt 5 ]; do i=$((i+1)); echo {long}; echo short >&2; done"
    task_id = await started(driver, rig.spec(script))

    lines = (await written(driver, task_id)).decode().splitlines()

    assert sorted(lines) == sorted(5 * [long] + 5 * ["short"])


async def test_it_ends_with_a_task_that_is_gone_or_never_ran(rig: DockerRig, driver: DockerDriver) -> None:
    prepared = rig.waiting()
    await driver.prepare(prepared)

    assert await written(driver, prepared.task_id) == b""
    assert await written(driver, rig.waiting().task_id) == b""


async def test_following_ends_when_the_task_does(rig: DockerRig, driver: DockerDriver) -> None:
    task_id = await started(
        driver, rig.spec("trap 'echo bye; exit 0' TERM; echo hello; sleep 1000 & wait $!")
    )

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(written(driver, task_id))
        await until(lambda: "hello" in rig.output(task_id))
        await driver.stop(task_id, grace=timedelta(seconds=10))

    assert reading.result() == b"hello\nbye\n"


async def test_a_flood_is_copied_while_others_have_their_turn(
    rig: DockerRig, driver: DockerDriver, tmp_path: Path
) -> None:
    flood = "i=0; while :; do i=$((i+1)); echo out $i; echo err $i >&2; done"
    task_id = await started(driver, rig.spec(flood))
    copy = LogCopy(tmp_path / "a.log", tmp_path / "a.place")
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with asyncio.TaskGroup() as group:
        counting = group.create_task(count_turns())
        pieces = 0
        async for cursor, content in driver.output(task_id, copy.resume()):
            copy.append(content, cursor)
            pieces += 1
            if pieces == 50:
                await driver.stop(task_id, grace=timedelta(0))
        counting.cancel()

    found = [int(line.split()[1]) for line in (tmp_path / "a.log").read_text().splitlines() if line[0] == "o"]
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= pieces // 2
    assert turns > pieces


async def test_lines_that_the_engine_dropped_while_nobody_copied_are_told(
    rig: DockerRig, driver: DockerDriver
) -> None:
    """The engine keeps two files of ten mebibytes."""
    block = "for j in $BLOCK; do echo $LINE; done"
    told = "go=; trap go=1 USR1; echo first; while [ -z $go ]; do sleep 0.1; done"
    flood = f"i=0; while [ $i -lt 24 ]; do i=$((i+1)); {block}; done"
    spec = rig.spec(f"{told}; {flood}", env={"LINE": 1000 * "x", "BLOCK": " ".join(map(str, range(1000)))})
    task_id = await started(driver, spec)
    async with contextlib.aclosing(driver.output(task_id, "")) as pieces:
        cursor, first = await anext(pieces)
    ask(rig.socket, "POST", f"/containers/{name_of(task_id)}/kill?signal=USR1")
    await until(lambda: rig.inspect(task_id)["State"]["Status"] == "exited", limit_s=60)

    rest = await written(driver, task_id, cursor)

    assert first == b"first\n"
    assert rest.startswith(LOST)
    assert rest.count(LOST) == 1
    assert rest.endswith(1000 * b"x" + b"\n")


async def test_an_engine_that_is_away_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        async for _ in output(tmp_path / "no.sock", "paas-1", ""):
            pass
