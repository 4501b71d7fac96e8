"""A driver whose failures and timing are exact. Its machine outlives the engine, as processes do.

Tasks of web do what the program says that their variable PROGRAM names; without one they are good. Others
do what the program says that is the last word of their command.
"""

import asyncio
import contextlib
import errno
import functools
import itertools
import socket
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Literal, Self

from paas.core.errors import StartFailed, Unavailable
from paas.core.ids import TaskId
from paas.core.model import Address, Instance, TaskSpec
from paas.engine.admission import HostMemory
from tests.harness import own_ports

HOST = "127.0.0.1"
ASKED, KILLED = 143, 137  # exit codes after SIGTERM and SIGKILL


@dataclass(slots=True, kw_only=True)
class Program:
    """How tasks behave that start from now on."""

    refused: str | None = None  # a start raises StartFailed with this
    hangs: bool = False  # a start does not return until the machine lets it
    listens: bool = True  # else once the machine lets it
    exits: int | None = None  # ends by itself, before it listens
    stubborn: bool = False  # ends only when it is killed, or the machine lets it


@dataclass(slots=True, kw_only=True, eq=False)
class Run:
    """One task that was started."""

    spec: TaskSpec
    pid: int
    stubborn: bool
    listener: socket.socket | None = None
    exit_code: int | None = None
    asked_to_end: bool = False
    frozen: bool = False
    frozen_when_asked: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_up(self) -> bool:
        return not self.ended.is_set()

    def instance(self) -> Instance:
        task_id = self.spec.task_id
        if not self.is_up and not self.frozen:  # who is frozen with it cannot tell of its end
            return Instance(task_id=task_id, status="exited", exit_code=self.exit_code)
        address = Address(host=HOST, port=self.spec.port) if self.spec.listens else None
        status: Literal["up", "frozen"] = "frozen" if self.frozen else "up"
        return Instance(task_id=task_id, status=status, address=address, pid=self.pid)


class Machine:
    """What survives an engine: programs, and what runs of them."""

    def __init__(self) -> None:
        self.programs: dict[str, Program] = {}
        self.runs: dict[TaskId, Run] = {}
        self.started: list[TaskId] = []
        self.loses_hints = False
        self.can_freeze = True
        self.total_bytes = self.available_bytes = 2**30
        self.bytes_each = 0  # what a task takes of it
        self.tells_memory = True
        self.hanging = 0  # starts that have not returned
        self.may_be_seen = asyncio.Event()  # else whoever looks at it hangs
        self.may_be_seen.set()
        self.drivers: list[FakeDriver] = []
        self._held = contextlib.ExitStack()
        self._starts_allowed = asyncio.Event()
        self._pids = itertools.count(1000)

    @functools.cached_property
    def ports(self) -> tuple[int, int]:
        """Say from where to where its tasks may listen: until it is closed, no other test's does there."""
        return self._held.enter_context(own_ports())

    def program(self, spec: TaskSpec) -> Program:
        name = spec.env.get("PROGRAM", "good") if spec.listens else spec.command[-1].split()[-1]
        return self.programs.setdefault(name, Program())

    def memory(self) -> HostMemory:
        """Say what it has. Raises OSError while it does not tell."""
        if not self.tells_memory:
            raise OSError(errno.EIO, "it does not tell")
        taken = len(self.up()) * self.bytes_each
        return HostMemory(total_bytes=self.total_bytes, available_bytes=self.available_bytes - taken)

    def up(self) -> dict[TaskId, Run]:
        return {task_id: run for task_id, run in self.runs.items() if run.is_up}

    async def may_start(self, spec: TaskSpec) -> None:
        """Return once the program's starts do not hang. Raises StartFailed."""
        self.hanging += 1
        try:
            while self.program(spec).hangs:
                await self._starts_allowed.wait()
        finally:
            self.hanging -= 1
        refused = self.program(spec).refused
        if refused is not None:
            raise StartFailed(refused)

    def start(self, spec: TaskSpec) -> Run:
        program = self.program(spec)
        run = self.runs[spec.task_id] = Run(spec=spec, pid=next(self._pids), stubborn=program.stubborn)
        self.started.append(spec.task_id)
        if program.exits is not None:
            self.end(spec.task_id, program.exits)
        elif program.listens and spec.listens:
            self.listen(spec.task_id)
        return run

    def let_start(self) -> None:
        """End every hanging start, and all later ones at once."""
        for program in self.programs.values():
            program.hangs = False
        self._starts_allowed.set()
        self._starts_allowed = asyncio.Event()

    def listen(self, task_id: TaskId) -> None:
        """Let a task take connections; it ends with 98 where another has its port, as most servers do."""
        run = self.runs[task_id]
        if not run.is_up or run.listener is not None or not run.spec.listens:
            return
        try:
            run.listener = socket.create_server((HOST, run.spec.port))
        except OSError:
            self.end(task_id, 98)

    def end(self, task_id: TaskId, exit_code: int) -> None:
        """End a task, by whatever cause."""
        run = self.runs[task_id]
        if not run.is_up:
            return
        run.exit_code = exit_code
        run.ended.set()
        if run.listener is not None:
            run.listener.close()
            run.listener = None
        if not run.frozen:
            self.tell(task_id)

    def tell(self, task_id: TaskId) -> None:
        """Hint that a task has ended."""
        if not self.loses_hints:
            for driver in self.drivers:
                driver.hint(task_id)

    def close(self) -> None:
        for task_id in self.up():
            self.end(task_id, KILLED)
        self._held.close()


class FakeDriver:
    """Implements `core.ports.Driver` and `Freezer` over a machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._hints: asyncio.Queue[TaskId] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._machine.drivers.append(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._machine.drivers.remove(self)

    def hint(self, task_id: TaskId) -> None:
        self._hints.put_nowait(task_id)

    async def prepare(self, spec: TaskSpec) -> None:
        """Do nothing: a start waits for nothing but its program."""

    def foresee(self, task_id: TaskId) -> None:
        """Do nothing."""

    async def start(self, spec: TaskSpec) -> Instance:
        if spec.task_id not in self._machine.runs:
            await self._machine.may_start(spec)
        # No await from here on: of two starts, the second finds the first's work.
        run = self._machine.runs.get(spec.task_id)
        return (run or self._machine.start(spec)).instance()

    async def stop(self, task_id: TaskId, *, grace: timedelta) -> int | None:
        run = self._machine.runs.get(task_id)
        if run is None:
            return None
        await self.thaw(task_id)
        run.asked_to_end, run.frozen_when_asked = True, run.frozen
        if run.stubborn:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace.total_seconds()):
                    await run.ended.wait()
        self._machine.end(task_id, KILLED if run.stubborn else ASKED)
        return run.exit_code

    async def freeze(self, task_id: TaskId) -> None:
        run = self._machine.runs.get(task_id)
        if run is not None and run.is_up:
            if not self._machine.can_freeze:
                raise Unavailable("cannot freeze a task: the machine does not want it")
            run.frozen = True

    async def thaw(self, task_id: TaskId) -> Instance | None:
        run = self._machine.runs.get(task_id)
        if run is None:
            return None
        was_frozen, run.frozen = run.frozen, False
        if run.is_up:
            return run.instance()
        if was_frozen:
            self._machine.tell(task_id)
        return None

    async def survey(self) -> Mapping[TaskId, Instance]:
        return await self.look(list(self._machine.runs))

    async def look(self, task_ids: Iterable[TaskId]) -> Mapping[TaskId, Instance]:
        await self._machine.may_be_seen.wait()
        runs = self._machine.runs
        return {task_id: runs[task_id].instance() for task_id in task_ids if task_id in runs}

    async def listens(self, task_id: TaskId, address: Address) -> bool:
        run = self._machine.runs.get(task_id)
        return run is not None and run.listener is not None and run.spec.port == address.port

    async def forget(self, task_id: TaskId) -> None:
        if task_id in self._machine.runs:
            self._machine.runs[task_id].frozen = False
            self._machine.end(task_id, KILLED)
            del self._machine.runs[task_id]

    @property
    def own_network(self) -> bool:
        return False

    async def host_address(self) -> str:
        return HOST

    async def hints(self) -> AsyncGenerator[TaskId, None]:
        while True:
            yield await self._hints.get()
