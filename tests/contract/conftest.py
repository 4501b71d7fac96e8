"""Each kind of driver, for the suite that every driver passes."""

import asyncio
import dataclasses
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from paas.core.ids import TaskId
from paas.core.model import TaskSpec
from paas.core.ports import Driver
from tests.contract.rigs import NOBODY, NativeRig
from tests.requirements import leave_out, require, require_root

KINDS = ("native with control groups", "native without control groups", "native as another user")


@pytest.fixture
def open_root() -> Iterator[Path]:
    """Make a folder that other users can reach: pytest's own are closed to them."""
    root = Path(tempfile.mkdtemp(prefix="paas-"))
    root.chmod(0o755)
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest, open_root: Path) -> NativeRig:
    match request.param:
        case "native with control groups":
            rig = NativeRig(open_root)
            if rig.driver().limits_in_force()["containment"] != "cgroup v2":
                leave_out("needs a writable tree of control groups, version 2")
            return rig
        case "native without control groups":
            return NativeRig(open_root, use_cgroups=False)
        case _:
            require_root()
            require("setpriv")
            return NativeRig(open_root, user=NOBODY)


@pytest.fixture
async def driver(rig: NativeRig) -> AsyncIterator[Driver]:
    async with rig.driver() as driver:
        yield driver
        for task_id in await driver.survey():
            await driver.forget(task_id)


Die = Callable[[list[TaskSpec]], Awaitable[dict[TaskId, int]]]


@pytest.fixture
def start_and_die(rig: NativeRig) -> Die:
    """Let another agent start tasks and be killed with SIGKILL; gives the process id of each."""

    async def start(specs: list[TaskSpec]) -> dict[TaskId, int]:
        order = {
            "root": str(rig.root),
            "use_cgroups": rig.use_cgroups,
            "user": rig.user,
            "specs": [dataclasses.asdict(spec) for spec in specs],
        }
        agent = await asyncio.create_subprocess_exec(  # noqa: TID251 - this is not the agent
            sys.executable,
            "-m",
            "tests.contract.dying_agent",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(os.environ),
        )
        assert agent.stdin
        assert agent.stdout
        agent.stdin.write(json.dumps(order).encode() + b"\n")
        line = await asyncio.wait_for(agent.stdout.readline(), 20)
        agent.kill()
        await agent.wait()
        return {TaskId(task_id): pid for task_id, pid in json.loads(line).items()}

    return start
