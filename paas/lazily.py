"""What is loaded and opened when it is first needed: containers cost nothing where nobody runs one."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from paas.core.ids import TaskId
from paas.core.live import Usage
from paas.core.model import Address, Artifact, Built, Deployment, Instance, TaskSpec
from paas.core.ports import Builder, Driver, Freezer, Meter, Sweeper, Writer

T = TypeVar("T")


class Lazily(Generic[T]):
    """Opens a context manager on the first `get`, and holds it open until it is itself left.

    `load` may import what it wants: it is called in a thread.
    """

    def __init__(self, load: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._load = load
        self._wanted = asyncio.Event()
        self._closing = asyncio.Event()
        self._opened: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._holder = self._group.create_task(self._hold(), name="lazily")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        if not self._opened.done():
            self._holder.cancel()
            self._opened.cancel()
        await self._group.__aexit__(kind, error, trace)

    @property
    def is_wanted(self) -> bool:
        return self._wanted.is_set()

    def peek(self) -> T | None:
        """Give what is opened, if it is."""
        is_open = self._opened.done() and not self._opened.cancelled()
        return self._opened.result() if is_open else None

    async def get(self) -> T:
        """Give what is opened, opening it if nobody has."""
        self._wanted.set()
        return await asyncio.shield(self._opened)

    async def once_wanted(self) -> T:
        """Give what is opened as soon as somebody else wants it."""
        return await asyncio.shield(self._opened)

    async def _hold(self) -> None:
        await self._wanted.wait()
        async with await asyncio.to_thread(self._load) as opened:
            self._opened.set_result(opened)
            await self._closing.wait()


class FreezingDriver(Driver, Freezer, Protocol):
    """A driver that also freezes."""


class LazyDriver(Generic[T]):
    """A driver among lazily opened parts, of tasks that have a network of their own.

    Until the parts are wanted it has no tasks: whoever knows of some calls `Lazily.get` before.
    """

    def __init__(self, parts: Lazily[T], pick: Callable[[T], FreezingDriver]) -> None:
        self._parts = parts
        self._pick = pick

    @property
    def own_network(self) -> bool:
        return True

    async def host_address(self) -> str:
        return await (await self._driver()).host_address()

    async def prepare(self, spec: TaskSpec) -> None:
        await (await self._driver()).prepare(spec)

    def foresee(self, task_id: TaskId) -> None:
        """Do nothing: what such drivers could do ahead is in `prepare`."""

    async def start(self, spec: TaskSpec) -> Instance:
        return await (await self._driver()).start(spec)

    async def stop(self, task_id: TaskId, *, grace: timedelta) -> int | None:
        return await (await self._driver()).stop(task_id, grace=grace)

    async def survey(self) -> Mapping[TaskId, Instance]:
        return await (await self._driver()).survey() if self._parts.is_wanted else {}

    async def look(self, task_ids: Iterable[TaskId]) -> Mapping[TaskId, Instance]:
        return await (await self._driver()).look(task_ids)

    async def listens(self, task_id: TaskId, address: Address) -> bool:
        return await (await self._driver()).listens(task_id, address)

    async def forget(self, task_id: TaskId) -> None:
        await (await self._driver()).forget(task_id)

    async def freeze(self, task_id: TaskId) -> None:
        await (await self._driver()).freeze(task_id)

    async def thaw(self, task_id: TaskId) -> Instance | None:
        return await (await self._driver()).thaw(task_id)

    async def output(self, task_id: TaskId, after: str) -> AsyncGenerator[tuple[str, bytes], None]:
        """Implement `core.ports.Writer`."""
        driver = await self._driver()
        if isinstance(driver, Writer):
            async with contextlib.aclosing(driver.output(task_id, after)) as pieces:
                async for piece in pieces:
                    yield piece

    async def measure(self, task_ids: Iterable[TaskId]) -> Mapping[TaskId, Usage]:
        """Implement `core.ports.Meter`."""
        driver = await self._driver() if self._parts.is_wanted else None
        return await driver.measure(task_ids) if isinstance(driver, Meter) else {}

    async def keep_only(self, task_ids: Iterable[TaskId]) -> None:
        """Implement `core.ports.Sweeper`."""
        if not self._parts.is_wanted:
            return
        driver = await self._driver()
        if isinstance(driver, Sweeper):
            await driver.keep_only(task_ids)

    async def hints(self) -> AsyncGenerator[TaskId, None]:
        async for task_id in self._pick(await self._parts.once_wanted()).hints():
            yield task_id

    async def _driver(self) -> FreezingDriver:
        return self._pick(await self._parts.get())


class LazyBuilder(Generic[T]):
    def __init__(self, parts: Lazily[T], pick: Callable[[T], Builder]) -> None:
        self._parts = parts
        self._pick = pick

    async def build(self, deployment: Deployment, artifact: Artifact | None) -> Built:
        return await self._pick(await self._parts.get()).build(deployment, artifact)
