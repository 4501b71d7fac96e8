"""Each kind of driver, for the suite that every driver passes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paas.core.ports import Driver
from tests.contract.fake_rig import FakeRig
from tests.contract.native import KINDS, native_rig, open_root
from tests.contract.rigs import Rig

__all__ = ["open_root"]


@pytest.fixture(params=(*KINDS, "fake"))
def rig(request: pytest.FixtureRequest, open_root: Path) -> Rig:
    return FakeRig() if request.param == "fake" else native_rig(request.param, open_root)


@pytest.fixture
async def driver(rig: Rig) -> AsyncIterator[Driver]:
    async with rig.driver() as driver:
        yield driver
        for task_id in await driver.survey():
            await driver.forget(task_id)
