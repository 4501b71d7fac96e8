"""Native drivers as this machine lets them be: fixtures for whoever needs a real one."""

import shutil
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
    return native_rig(request.param, open_root)


def native_rig(kind: str, open_root: Path) -> NativeRig:
    """Set up one of KINDS, or leave the test out where this machine does not allow it."""
    match kind:
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
    return rig.start_and_die
