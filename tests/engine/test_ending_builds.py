"""Builds that end by themselves in the moment in which the queue is looked at."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from sqlite3 import Row

from paas.core.builds import Build
from paas.core.ids import BuildId
from paas.store.database import Reader, Value
from tests.engine.build_rig import BUILT, Rig, running
from tests.waiting import until


class HeldReader(Reader):
    """Reads the builds that are to be done at once, and gives what it read when it may."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig.database.reader._connection)
        self.has_read, self.may_give = asyncio.Event(), asyncio.Event()

    async def all(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        found = await super().all(sql, values)
        if "FROM builds WHERE state IN" in sql:
            self.has_read.set()
            await self.may_give.wait()
        return found


async def test_what_follows_the_end_of_a_build_is_still_done(tmp_path: Path) -> None:
    may_leave, left = asyncio.Event(), list[BuildId]()

    async def leaving(build: Build) -> None:
        await may_leave.wait()
        left.append(build.id)

    async with running(tmp_path, leaving=leaving) as rig:
        build = await rig.ask()
        await rig.begun(build)
        rig.builder.results[build.id].set_result(BUILT)
        await rig.settled(build)
        for _ in range(2):  # the first may have been under way
            looked = rig.logs.announcement()
            rig.poked.set()
            await looked.wait()
        may_leave.set()

        await until(lambda: left == [build.id])


async def test_build_that_ends_while_it_is_read_is_not_begun_again(tmp_path: Path) -> None:
    left: list[BuildId] = []

    async def leaving(build: Build) -> None:
        left.append(build.id)

    async with running(tmp_path, leaving=leaving) as rig:
        build = await rig.ask()
        await rig.begun(build)
        reader = rig.database.reader = HeldReader(rig)
        rig.poked.set()
        await reader.has_read.wait()
        rig.builder.results[build.id].set_result(BUILT)
        await until(lambda: left == [build.id])
        await until(lambda: not rig.queue._in_hand)
        reader.may_give.set()
        looked = rig.logs.announcement()
        rig.poked.set()
        await looked.wait()
        await until(lambda: not rig.queue._in_hand)

        assert "The agent was restarted: the build begins again." not in await rig.said(build)
        assert rig.builder.begun == [build.id]
