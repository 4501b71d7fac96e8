"""The limits of a program that is run, and what is left of it in whatever moment its caller is cancelled."""

import asyncio
import os
import threading
from itertools import count
from pathlib import Path

from paas.builders import git_process


async def test_a_cancel_after_its_end_leaves_no_process_either(tmp_path: Path) -> None:
    before = children()

    for turns in count():
        async with asyncio.TaskGroup() as group:
            running = group.create_task(
                git_process.run(("/bin/true",), {}, output=tmp_path / "output", file_bytes=1024)
            )
            while not (made := children() - before):  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0)
            for pid in made:
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - the loop must not see it yet
            for _ in range(turns):
                await asyncio.sleep(0)
            running.cancel()
        assert not children() - before, f"cancelled {turns} turns of the loop after the program had ended"
        if not running.cancelled():
            break


async def test_a_program_has_its_limits_from_the_first(tmp_path: Path) -> None:
    output = tmp_path / "output"
    says_them = ("/bin/sh", "-c", "ulimit -f; ulimit -d")

    ended = await git_process.run(says_them, {}, output=output, file_bytes=20 * 512)

    assert (ended.code, ended.errors) == (0, "")
    assert output.read_text().split() == ["20", str(git_process.MEMORY_BYTES // 1024)]


def children() -> set[int]:
    listed = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()
    return {int(pid) for pid in listed.split()}
