import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from tests.proxy.rig import Rig, running
from tests.proxy.tcp_rig import Tcp, tcp_running


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Test on the loop that traffic runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running() as made:
        yield made


@pytest.fixture
async def tcp() -> AsyncIterator[Tcp]:
    async with tcp_running() as made:
        yield made
