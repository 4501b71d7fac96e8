"""An engine over a real database, a real router and a machine that does exactly what it is told."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.engine.fake_driver import Machine
from tests.engine.jumping_loop import JumpingLoop
from tests.engine.rig import Engine, running


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], JumpingLoop]]:
    return {"jumping": JumpingLoop}


@pytest.fixture
def machine() -> Iterator[Machine]:
    with contextlib.closing(Machine()) as machine:
        yield machine


@pytest.fixture
async def engine(tmp_path: Path, machine: Machine) -> AsyncIterator[Engine]:
    async with running(tmp_path, machine) as engine:
        yield engine
