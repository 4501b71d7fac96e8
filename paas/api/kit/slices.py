"""Long lists without a stall: traffic passes between every few of their items."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

ITEMS_A_TURN = 4  # of up to a hundred microseconds each


async def gently(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items, and let the loop turn now and then."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % ITEMS_A_TURN == 0:
            await asyncio.sleep(0)
