"""Builds that mean harm: each is ended with a reason, and nothing of it is left."""

import asyncio
from collections.abc import Iterator

import pytest

from paas.core.errors import BuildFailed
from paas.core.records import replace
from tests.builders.source_rig import MEBIBYTE, MODES, Rig, appears, contents, rigged

FORK_BOMB = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
DIG = """
import os
for _ in range(1200):
    os.mkdir("d")
    os.chdir("d")
"""
DAEMON = "(env -i setsid sh -c 'sleep 1000 & sleep 1000' >/dev/null 2>&1 </dev/null &); touch run"


@pytest.fixture
def builds() -> Iterator[Rig]:
    with rigged() as rig:
        yield rig


@pytest.fixture(params=MODES)
def held(request: pytest.FixtureRequest, builds: Rig) -> Rig:
    builds.held_by(request.param)
    return builds


async def test_one_that_forks_for_ever(held: Rig) -> None:
    held.settings = replace(held.settings, limits=replace(held.settings.limits, secs=2))

    with pytest.raises(BuildFailed, match="not done after 2 s"):
        await held.build(f"/usr/bin/python3 -c '{FORK_BOMB}'")

    assert held.processes() == []
    assert held.left() == []


async def test_one_that_ignores_every_signal_is_cancelled_with_its_children(held: Rig) -> None:
    running = asyncio.ensure_future(  # noqa: TID251 - the test is its parent
        held.build("trap '' TERM INT HUP QUIT; touch begun; (setsid sleep 1000 &); sleep 1000; sleep 1000")
    )
    await appears(held.workspace(1).parent / "source/begun")
    assert held.processes()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert held.processes() == []
    assert held.left() == []


async def test_one_that_leaves_a_daemon(held: Rig) -> None:
    program = await held.build(DAEMON)

    assert "run" in contents(program)
    assert held.processes() == []


async def test_one_that_fills_the_disk(builds: Rig) -> None:
    with pytest.raises(BuildFailed, match=f"more than {64 * MEBIBYTE} bytes"):
        await builds.build('n=0; while :; do head -c 2M /dev/zero >"/tmp/$n"; n=$((n+1)); done')

    assert builds.processes() == []
    assert builds.left() == []


async def test_one_that_makes_a_file_without_end(builds: Rig) -> None:
    with pytest.raises(BuildFailed, match=r"ended with exit code|more than"):
        await builds.build("cat /dev/zero >/dev/shm/file")

    assert builds.left() == []


async def test_one_that_makes_files_without_end(builds: Rig) -> None:
    with pytest.raises(BuildFailed, match="more than 2000 files"):
        await builds.build('n=0; while :; do : >"$n"; n=$((n+1)); done')

    assert builds.left() == []


async def test_one_that_digs_without_end(builds: Rig) -> None:
    with pytest.raises(BuildFailed, match="nested more than 64 deep"):
        await builds.build(f"/usr/bin/python3 -c '{DIG}'")

    assert builds.left() == []


async def test_one_that_takes_all_memory(builds: Rig) -> None:
    limits = builds.settings.limits
    processes = replace(limits.processes, memory_bytes=64 * MEBIBYTE)
    builds.settings = replace(builds.settings, limits=replace(limits, processes=processes))

    with pytest.raises(BuildFailed, match=r"memory|ended with exit code"):
        await builds.build("/usr/bin/python3 -c 'x = b\"x\" * 300_000_000; import time; time.sleep(1000)'")

    assert builds.processes() == []


async def test_one_that_prints_a_gigabyte(builds: Rig) -> None:
    await builds.build("echo first; head -c 1000000000 /dev/zero; echo; echo last; touch run")

    lines = builds.report.lines
    assert lines[1] == "first"
    assert lines[-1] == "last"
    assert sum(map(len, lines)) < 2 * MEBIBYTE
    assert any("bytes of output are left out" in line for line in lines)


async def test_one_that_prints_one_line_without_end(builds: Rig) -> None:
    await builds.build("head -c 20000000 /dev/zero | tr '\\0' x; touch run")

    assert max(map(len, builds.report.lines)) <= 8192


@pytest.mark.parametrize("mode", ["process space", "user"])
async def test_one_that_reads_what_is_not_its_own(builds: Rig, mode: str) -> None:
    builds.held_by(mode)
    key, neighbour = builds.folder / "secrets.key", builds.folder / "neighbour"
    key.write_text("the key")
    key.chmod(0o600)
    neighbour.mkdir(mode=0o700)
    (neighbour / "source").write_text("the source")
    wanted = f"{key} {neighbour}/source /etc/shadow /proc/1/environ ~root/.bash_history"

    await builds.build(
        f"for each in {wanted}; do cat $each && echo 'read it'; done; touch run; ls {neighbour} || :"
    )

    assert not {"read it", "the key", "the source"} & set(builds.report.lines)


async def test_one_that_looks_around(builds: Rig) -> None:
    await builds.build(
        f"test ! -e {builds.folder}; test ! -e /root; test ! -e /home; test ! -e /run; test ! -e /var/lib",
        "test $(ls /proc | grep -c '^[0-9]') -lt 10; ! touch /usr/mine /mine /etc/mine /dev/mine /build/mine",
        "! kill -9 1; ! kill -9 $PPID 2>/dev/null || :; grep -q 'NoNewPrivs:.1' /proc/self/status",
        "grep -q 'CapBnd:.0*$' /proc/self/status; touch run",
    )

    assert builds.processes() == []


async def test_one_whose_links_lead_outside(builds: Rig) -> None:
    (builds.folder / "precious").mkdir()
    (builds.folder / "precious/file").write_text("precious")

    program = await builds.build(
        "ln -s /etc/passwd Procfile; rm -r .paas; ln -s /etc .paas; ln -s ../../.. up; ln -s /etc/shadow x",
        f"mkdir -p ~/.cache; ln -s {builds.folder}/precious ~/.cache/pip; mkfifo pipe; mkdir in",
        "ln -s ../run in/fine",
        "touch run; chmod 6755 run",
        cache=("~/.cache/pip",),
    )

    found = contents(program)
    assert set(found) == {"Procfile", "run", "in", "in/fine"}
    assert found["Procfile"] == "web: ./run\n"
    assert (builds.folder / "precious/file").read_text() == "precious"
    assert not list(builds.folder.glob("cache/*"))


async def test_variables_reach_the_commands_and_nobody_before_them(
    builds: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTS_OWN_SECRET", "hidden")
    env = {
        "LD_PRELOAD": str(builds.folder / "evil.so"),
        "QUOTED": 'it\'s "$HOME"\n`x`',
        "not-a-name": "x",
        "PATH": "/usr/bin",
    }

    await builds.build(
        'echo "<$QUOTED>"; env | grep -c AGENTS_OWN || :; unset LD_PRELOAD; /usr/bin/touch run', env=env
    )

    said = "\n".join(builds.report.lines)
    assert '<it\'s "$HOME"\n`x`>' in said
    assert "\n0" in said
