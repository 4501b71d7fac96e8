from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paas.store.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(tmp_path / "paas.db") as opened:
        yield opened
