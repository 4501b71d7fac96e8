"""What is opened on first use, once, and closed with its holder."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from paas.lazily import Lazily


@dataclass(slots=True)
class Source:
    """Says when and where it is loaded, opened and closed."""

    seen: list[str] = field(default_factory=list)
    fails: bool = False

    def load(self) -> AbstractAsyncContextManager[str]:
        in_main = threading.current_thread() is threading.main_thread()
        self.seen.append("loaded on the loop" if in_main else "loaded in a thread")
        if self.fails:
            raise ImportError("it is not installed")
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[str]:
        self.seen.append("opened")
        yield "the thing"
        self.seen.append("closed")


async def test_nothing_is_loaded_until_somebody_asks() -> None:
    source = Source()
    async with Lazily(source.load) as lazily:
        assert not lazily.is_wanted
        await asyncio.sleep(0)

    assert source.seen == []


async def test_all_who_ask_get_the_one_that_is_opened_once() -> None:
    source = Source()
    async with Lazily(source.load) as lazily:
        got = await asyncio.gather(*(lazily.get() for _ in range(5)))
        assert source.seen == ["loaded in a thread", "opened"]

    assert got == ["the thing"] * 5
    assert source.seen == ["loaded in a thread", "opened", "closed"]


async def test_one_who_waits_for_others_does_not_open_it() -> None:
    source = Source()
    async with Lazily(source.load) as lazily, asyncio.TaskGroup() as group:
        waiting = group.create_task(lazily.once_wanted())
        await asyncio.sleep(0)
        assert (waiting.done(), source.seen) == (False, [])
        await lazily.get()

    assert waiting.result() == "the thing"


async def test_one_who_leaves_takes_it_from_nobody() -> None:
    source = Source()
    async with Lazily(source.load) as lazily, asyncio.TaskGroup() as group:
        leaving = group.create_task(lazily.get())
        await asyncio.sleep(0)
        leaving.cancel()

        assert await lazily.get() == "the thing"


async def test_what_cannot_be_loaded_ends_its_holder() -> None:
    with pytest.raises(BaseExceptionGroup) as failed:
        async with Lazily(Source(fails=True).load) as lazily:
            await lazily.get()

    assert failed.group_contains(ImportError)
