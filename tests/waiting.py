"""Wait for what the outside world does, with a limit."""

import asyncio
from collections.abc import Callable

LIMIT_S = 15.0
PAUSE_S = 0.01


async def until(condition: Callable[[], object], *, limit_s: float = LIMIT_S) -> None:
    """Return as soon as the condition holds. Raises TimeoutError when it takes too long."""
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(PAUSE_S)
