"""Processes that are looked for while they fork, end, or become other programs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from paas.builders.containment import Containment
from paas.builders.sandbox import Sandbox
from paas.launching import leftovers
from paas.launching.users import User
from tests.requirements import require_root

LOOKS = 100
USER = 64_000 + os.getpid() % 1000  # nobody's: each worker has its own


def by_variable(mark: str) -> list[int]:
    return leftovers.find_by_environment(mark)


def by_user(_mark: str) -> list[int]:
    sandbox = Sandbox(user=User(uid=USER, gid=USER), bwrap=None)
    return Containment("x", sandbox, None)._found_by_user()


@pytest.mark.parametrize("find", [by_variable, by_user])
def test_a_child_whose_parent_ends_while_it_is_looked_for_is_found(find: Callable[[str], list[int]]) -> None:
    require_root()
    mark = f"MARK={os.getpid()}-fork"
    script = "read -r _; sleep 1000 & echo $!"
    with subprocess.Popen(
        ["/bin/sh", "-c", script],
        env=marked(mark),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        user=USER,
    ) as parent:
        children: list[int] = []

        def preempt(_frame: FrameType, event: str, called: object) -> None:
            """Let it fork and end between the list of processes and the look at each."""
            if event == "c_return" and called is os.listdir and not children:
                assert parent.stdin
                assert parent.stdout
                parent.stdin.write("\n")
                parent.stdin.flush()
                children.append(int(parent.stdout.readline()))
                parent.wait()

        sys.setprofile(preempt)
        try:
            found = find(mark)
        finally:
            sys.setprofile(None)
            leftovers.end_by_environment(mark)

    assert found == children


def test_a_look_ends_however_many_processes_begin_meanwhile() -> None:
    began: list[subprocess.Popen[bytes]] = []

    def preempt(_frame: FrameType, event: str, called: object) -> None:
        """Let another one begin after each list of processes."""
        if event == "c_return" and called is os.listdir and len(began) < LOOKS:
            began.append(subprocess.Popen(["sleep", "1000"]))

    sys.setprofile(preempt)
    try:
        found = leftovers.find_by_environment(f"MARK={os.getpid()}-none")
    finally:
        sys.setprofile(None)
        for process in began:
            process.kill()
            process.wait()

    assert found == []
    assert len(began) < LOOKS


def test_a_process_that_becomes_another_program_is_found_all_the_time(tmp_path: Path) -> None:
    mark = f"MARK={os.getpid()}-exec"
    script = tmp_path / "again.sh"
    script.write_text('#!/bin/sh\nexec "$0"\n')
    script.chmod(0o755)
    with subprocess.Popen([script], env=marked(mark)) as process:
        found = [leftovers.find_by_environment(mark) for _ in range(LOOKS)]
        process.kill()

    assert found == [[process.pid]] * LOOKS


def marked(mark: str) -> dict[str, str]:
    name, _, value = mark.partition("=")
    return {"PATH": os.environ["PATH"], name: value}
