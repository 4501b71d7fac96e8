"""What builds said: as they said it, in bounds."""

from pathlib import Path

import pytest

from paas.build_logs import LONGEST_PIECE, BuildLogs
from paas.core.ids import BuildId
from tests.engine.build_rig import SteadyClock

KEPT_BYTES = 100_000
BUILD = BuildId("one")


@pytest.fixture
def logs(tmp_path: Path) -> BuildLogs:
    return BuildLogs(tmp_path / "builds", SteadyClock(), kept_bytes=KEPT_BYTES)


async def test_lines_come_back_with_their_times_and_places(logs: BuildLogs) -> None:
    await logs.write(BUILD, ["one", "", "thr\udc80ee é"])

    lines = await logs.read(BUILD)

    assert [line.message for line in lines] == ["one", "", "thr?ee é"]
    assert {line.at for line in lines} == {1000.0}
    assert [line.message for line in await logs.read(BUILD, after=lines[0].offset)] == ["", "thr?ee é"]
    assert await logs.read(BUILD, after=lines[-1].offset) == []


async def test_long_line_comes_in_pieces(logs: BuildLogs) -> None:
    text = "é" * (2 * LONGEST_PIECE + 1)

    await logs.write(BUILD, [text])

    pieces = [line.message for line in await logs.read(BUILD)]
    assert "".join(pieces) == text
    assert len(pieces) == 3


async def test_only_about_the_last_of_a_flood_is_kept(logs: BuildLogs, tmp_path: Path) -> None:
    for number in range(100):
        await logs.write(BUILD, [f"{number} {'x' * 90}"] * 100)

    lines = await logs.read(BUILD, tail=10**6)

    assert lines[-1].message.startswith("99 ")
    assert all(line.message.endswith("x" * 90) for line in lines), "none is cut"
    assert len(lines) * 100 < KEPT_BYTES * 3
    assert (tmp_path / "builds" / "one.log").stat().st_blocks * 512 < KEPT_BYTES * 2
    assert [line.message for line in await logs.read(BUILD, tail=1)] == [lines[-1].message]


async def test_line_that_a_full_disk_cut_does_not_hide_the_next(logs: BuildLogs, tmp_path: Path) -> None:
    await logs.write(BUILD, ["one"])
    with (tmp_path / "builds" / "one.log").open("a") as file:
        file.write("17000")

    await logs.write(BUILD, ["two"])

    assert [line.message for line in await logs.read(BUILD)][-1].endswith("two")


async def test_log_of_nobody_is_empty_and_unwanted_ones_go(logs: BuildLogs, tmp_path: Path) -> None:
    async def wanted() -> list[BuildId]:
        return [BUILD]

    await logs.keep_only(wanted)
    assert await logs.read(BUILD) == []
    await logs.write(BUILD, ["one"])
    await logs.write(BuildId("two"), ["two"])

    await logs.keep_only(wanted)

    assert [path.name for path in (tmp_path / "builds").iterdir()] == ["one.log"]
