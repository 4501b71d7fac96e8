"""Calls in threads that nobody can cut off: what they change is about to be taken away."""

import asyncio
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


async def done_in_thread(act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a thread. However this ends, a cancel included, the function has ended before."""
    acting = asyncio.get_running_loop().run_in_executor(None, functools.partial(act, *args, **kwargs))
    try:
        return await asyncio.shield(acting)
    finally:
        await asyncio.wait([acting])
