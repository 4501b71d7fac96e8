"""A build's process: what a cancel and a refusal leave of it, and how its files are measured."""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from paas.builders.build_process import BuildProcess
from paas.builders.containment import Containment, ProcessLimits
from paas.builders.sandbox import Sandbox
from paas.core.errors import Unavailable
from tests.builders.source_rig import LIMITS, Report
from tests.harness import REPOSITORY
from tests.requirements import require_root
from tests.waiting import until

MEASURE_WITH_TWO_PROCESSES = """
import asyncio, os, resource, sys
from paas.builders.build_process import measure
os.setuid(int(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_NPROC, (2, 2))
asyncio.run(measure([os.path.dirname(os.__file__)]))
"""


class Slow(Containment):
    """Takes its time to hold a process, and knows whether that is ended meanwhile."""

    def __init__(self) -> None:
        super().__init__(str(uuid.uuid4()), Sandbox(user=None, bwrap=None), None)
        self.begun, self.released = threading.Event(), threading.Event()
        self.is_holding = False
        self.ended_while_holding: bool | None = None

    def hold(self, pid: int, limits: ProcessLimits) -> None:
        self.is_holding = True
        self.begun.set()
        self.released.wait()
        super().hold(pid, limits)
        self.is_holding = False

    def end(self, pid: int) -> int:
        self.ended_while_holding = self.is_holding
        return super().end(pid)


class Refusing(Containment):
    def hold(self, pid: int, limits: ProcessLimits) -> None:
        raise PermissionError(pid, limits)


async def test_one_that_is_cancelled_is_held_before_it_is_ended(tmp_path: Path) -> None:
    containment = Slow()

    async with asyncio.TaskGroup() as group:
        running = group.create_task(
            BuildProcess(containment, (tmp_path,), LIMITS).run(("/bin/true",), Report())
        )
        await until(containment.begun.is_set)
        running.cancel()
        for _ in range(10):  # turns of the loop, in which it would be ended
            await asyncio.sleep(0)
        containment.released.set()

    assert running.cancelled()
    assert containment.ended_while_holding is False


async def test_one_that_cannot_be_held_leaves_no_pipe_open(tmp_path: Path) -> None:
    containment = Refusing(str(uuid.uuid4()), Sandbox(user=None, bwrap=None), None)
    before = pipes()

    with pytest.raises(Unavailable):
        await BuildProcess(containment, (tmp_path,), LIMITS).run(("/bin/true",), Report())

    await until(lambda: pipes() <= before)


def pipes() -> set[str]:
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # it was closed meanwhile
            found.add(str(path.readlink()))
    return {link for link in found if link.startswith("pipe:")}


def test_files_that_no_process_is_left_to_measure_are_an_error_with_its_cause() -> None:
    require_root()
    nobody_else = 65_000 + os.getpid() % 500  # or their processes would count
    measuring = subprocess.run(
        [sys.executable, "-c", MEASURE_WITH_TWO_PROCESSES, str(nobody_else)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "Unavailable: cannot measure the files of a build: the shell ended with code" in measuring.stderr
