"""What tasks use: real processes, real control groups, and files as other kernels write them."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest

from paas.core.ids import TaskId
from paas.drivers import usage
from paas.drivers.docker import DockerDriver
from paas.drivers.native_usage import NativeUsage
from paas.drivers.process import ProcessDriver
from paas.launching.cgroups import Cgroups
from tests import programs
from tests.contract.docker_rig import DockerRig
from tests.contract.rigs import NativeRig
from tests.requirements import leave_out, require_root
from tests.waiting import until

MIB = 1024 * 1024
TASK = TaskId("t-1")
LEAD_SECS = 0.2
HELD, BURNT_SECS = 40, 0.3
BUSY = {"MEGABYTES": str(HELD), "SECONDS_OF_CPU": str(BURNT_SECS)}


async def test_a_task_that_burns_and_holds_is_seen_to(driver: ProcessDriver, rig: NativeRig) -> None:
    spec = rig.spec(programs.BUSY, env=BUSY, port=0)  # any: other tests run it at the same time
    await driver.start(spec)
    await until(lambda: "held" in rig.output(spec.task_id))

    seen = (await driver.measure([spec.task_id]))[spec.task_id]

    assert BURNT_SECS <= seen.cpu_secs < 5
    assert HELD * MIB <= seen.memory_bytes <= seen.memory_peak_bytes < 3 * HELD * MIB
    assert seen.oom_kills == 0


async def test_what_an_ended_task_used_is_known_until_it_is_forgotten(
    driver: ProcessDriver, rig: NativeRig
) -> None:
    spec = rig.spec(programs.BUSY, env=BUSY, port=0)
    await driver.start(spec)
    await until(lambda: "held" in rig.output(spec.task_id))

    await driver.stop(spec.task_id, grace=timedelta(seconds=5))

    seen = (await driver.measure([spec.task_id]))[spec.task_id]
    assert seen.cpu_secs >= BURNT_SECS
    assert seen.memory_peak_bytes >= HELD * MIB
    await driver.forget(spec.task_id)
    assert await driver.measure([spec.task_id]) == {}


def test_a_last_look_that_a_forget_overtakes_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "cgroup.subtree_control").touch()
    told = tmp_path / "group" / "cpu.stat"
    told.parent.mkdir()
    os.mkfifo(told)
    last = NativeUsage(Cgroups(tmp_path))
    look = Thread(target=last.note_end, args=(TASK, "group"))
    forget = Thread(target=last.forget, args=(TASK,))
    look.start()
    with told.open("w") as kernel:  # now it looks
        forget.start()
        forget.join(LEAD_SECS)
        kernel.write("usage_usec 1500000\n")

    look.join()
    forget.join()

    assert last.of([TASK]) == {}


async def test_a_name_of_any_bytes_hinders_neither_a_look_nor_the_end(
    driver: ProcessDriver, rig: NativeRig
) -> None:
    rename = r"ctypes.CDLL(None).prctl(15, b'\xff\xfe) 1 2', 0, 0, 0)"
    script = f"import ctypes, time; {rename}; print('renamed', flush=True); time.sleep(1000)"
    spec = rig.spec(programs.CRASH, command=("/usr/bin/python3", "-c", script))
    await driver.start(spec)
    await until(lambda: "renamed" in rig.output(spec.task_id))

    seen = (await driver.measure([spec.task_id]))[spec.task_id]
    code = await driver.stop(spec.task_id, grace=timedelta(seconds=5))

    assert seen.memory_bytes > 0
    assert code == 143


async def test_a_task_that_never_started_is_not_measured(driver: ProcessDriver, rig: NativeRig) -> None:
    spec = rig.waiting()
    await driver.prepare(spec)

    assert await driver.measure([spec.task_id]) == {}


@pytest.fixture
def grouped() -> Iterator[tuple[int, str]]:
    """Run a busy process in control groups of its own, in every tree that counts, as an engine would."""
    require_root()
    trees = [Path("/sys/fs/cgroup", name) for name in ("memory", "cpuacct")]
    if not all(tree.is_dir() for tree in trees):
        trees = [Path("/sys/fs/cgroup")]
        if "memory" not in (trees[0] / "cgroup.subtree_control").read_text():
            leave_out("needs control groups that count memory")
    name = f"paas-test-{os.getpid()}"
    groups = [tree / name for tree in trees]
    for group in groups:
        group.mkdir()
    enter = " && ".join(f"echo $$ > {group}/cgroup.procs" for group in groups)
    with subprocess.Popen(
        ["/bin/sh", "-c", f"{enter} && exec {programs.BUSY}"],
        env={**os.environ, **BUSY, "HOST": "127.0.0.1", "PORT": "0"},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"burnt and held\n"
        yield process.pid, name
        process.send_signal(signal.SIGKILL)
        process.wait()
    for group in groups:
        with suppress(OSError):
            group.rmdir()


async def test_a_container_is_measured_by_its_control_groups(grouped: tuple[int, str]) -> None:
    seen = usage.of_container(*grouped)

    assert seen is not None
    assert BURNT_SECS <= seen.cpu_secs < 5
    assert HELD * MIB <= seen.memory_bytes <= seen.memory_peak_bytes < 3 * HELD * MIB


def test_a_process_of_another_name_is_not_the_container(grouped: tuple[int, str]) -> None:
    pid, name = grouped

    assert usage.of_container(pid, name + "0") is None
    assert usage.of_container(2**22 + 1, name) is None


async def test_a_real_container_is_measured_while_it_runs_and_after(
    docker: DockerDriver, docker_rig: DockerRig
) -> None:
    # A variable of the shell's holds eight mebibytes; doubling it takes processor time.
    script = "x=0123456789abcdef; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do x=$x$x; done"
    spec = docker_rig.spec(f"{script}; echo ready; while :; do sleep 1000 & wait $!; done")
    await docker.start(spec)
    await docker_rig.until_up(spec)

    seen = (await docker.measure([spec.task_id]))[spec.task_id]
    await docker.stop(spec.task_id, grace=timedelta(0))
    after = (await docker.measure([spec.task_id]))[spec.task_id]

    assert seen.cpu_secs > 0
    assert 8 * MIB <= seen.memory_bytes <= seen.memory_peak_bytes <= spec.memory_bytes
    assert after.memory_peak_bytes >= seen.memory_peak_bytes
    await docker.forget(spec.task_id)
    assert await docker.measure([spec.task_id]) == {}


def test_a_group_of_version_2_tells_working_set_peak_and_kills(tmp_path: Path) -> None:
    files = {
        "cpu.stat": "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n",
        "memory.current": "50000\n",
        "memory.peak": "90000\n",
        "memory.stat": "anon 20000\nfile 30000\ninactive_file 25000\nactive_file 5000\n",
        "memory.events": "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    seen = usage.of_group(tmp_path, ())

    assert seen is not None
    assert (seen.cpu_secs, seen.memory_bytes) == (1.5, 25000)
    assert (seen.memory_peak_bytes, seen.oom_kills) == (60000, 2)
    assert usage.of_group(tmp_path / "gone", ()) is None
