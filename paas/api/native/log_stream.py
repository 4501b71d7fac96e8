"""The live log of a deployment: its tasks come and go, the stream stays."""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from paas.api.kit.events import Send
from paas.api.kit.parts import ApiParts, LogLine, LogReader
from paas.api.native import shapes
from paas.core.errors import Invalid
from paas.core.ids import DeploymentId, TaskId
from paas.core.states import LIVE_TASK, TaskState
from paas.store import tasks

SHORT = 8  # characters of a task's id that tell the tasks of one deployment apart
QUEUED_LINES = 64
BEGUN = frozenset({"task.starting", "task.running"})
ENDED = frozenset({"task.stopped", "task.failed"})

_CURSORS = re.compile(r"([0-9a-f]{8}\.[0-9]{1,15}(~[0-9a-f]{8}\.[0-9]{1,15})*)?")


class LogStream:
    """Sends every line of every task once, across reconnections; for one client, run once."""

    def __init__(
        self, parts: ApiParts, deployment_id: DeploymentId, *, cursors: Mapping[str, int] | None, tail: int
    ) -> None:
        self._parts = parts
        self._deployment_id = deployment_id
        self._resumed = cursors
        self._tail = tail
        self._sent: dict[TaskId, int] = {}  # offsets; a task of which nothing was sent is absent
        self._taken: dict[TaskId, int] = {}  # offsets up to which lines are queued
        self._lines: asyncio.Queue[LogLine] = asyncio.Queue(QUEUED_LINES)
        self._followers: dict[TaskId, asyncio.Task[None]] = {}

    async def run(self, send: Send) -> None:
        """Send what was written before, then what comes, for ever."""
        seq = await self._parts.feed.last_seq()  # before the tasks are read, so that none is missed
        known = await tasks.of_deployment(self._parts.reader, self._deployment_id)
        for line in await self._lines_before([task.id for task in known]):
            await self._send(send, line)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_all(send))
            for task in known:
                if task.state in LIVE_TASK and task.state is not TaskState.PENDING:
                    self._follow(group, task.id)
            async for event in self._parts.feed.follow(seq, deployment_id=self._deployment_id):
                if event.task_id is not None and event.kind in BEGUN:
                    self._follow(group, event.task_id)
                elif event.task_id is not None and event.kind in ENDED:
                    await self._finish(event.task_id)

    async def _lines_before(self, ids: Sequence[TaskId]) -> list[LogLine]:
        """Read what is there: the tail, or everything since the client was last here."""
        logs = self._parts.logs
        if self._resumed is None:
            lines = await last_lines(logs, ids, tail=self._tail)
            chosen = {line.task_id for line in lines}
            for task_id in set(ids) - chosen:
                end = await logs.read(task_id, tail=1)
                if end:
                    self._sent[task_id] = end[-1].offset
        else:
            self._sent = {id_: self._resumed[id_[:SHORT]] for id_ in ids if id_[:SHORT] in self._resumed}
            found: list[LogLine] = []
            for task_id in ids:
                found += await logs.read(task_id, after=self._sent.get(task_id, 0))
            lines = sorted(found, key=_moment)
        self._taken = dict(self._sent)
        for line in lines:
            self._taken[line.task_id] = max(line.offset, self._taken.get(line.task_id, 0))
        return lines

    def _follow(self, group: asyncio.TaskGroup, task_id: TaskId) -> None:
        if task_id not in self._followers:
            self._followers[task_id] = group.create_task(self._take_what_comes(task_id))

    async def _take_what_comes(self, task_id: TaskId) -> None:
        async for line in self._parts.logs.follow({task_id: self._taken.get(task_id, 0)}):
            await self._take(line)

    async def _finish(self, task_id: TaskId) -> None:
        """Take the last lines of a task that ended."""
        follower = self._followers.get(task_id)
        if follower is not None:
            follower.cancel()
            await asyncio.wait([follower])
        for line in await self._parts.logs.read(task_id, after=self._taken.get(task_id, 0)):
            await self._take(line)

    async def _take(self, line: LogLine) -> None:
        await self._lines.put(line)  # a cancel here leaves the line untaken
        self._taken[line.task_id] = line.offset

    async def _send_all(self, send: Send) -> None:
        while True:
            await self._send(send, await self._lines.get())

    async def _send(self, send: Send, line: LogLine) -> None:
        self._sent[line.task_id] = line.offset
        cursors = "~".join(f"{task_id[:SHORT]}.{offset}" for task_id, offset in self._sent.items())
        await send(cursors, msgspec.json.encode(shapes.log_entry(line)))


def read_cursors(text: str) -> dict[str, int]:
    """Read the id of a frame: how far each task's output was sent. Raises Invalid."""
    if _CURSORS.fullmatch(text) is None:
        raise Invalid(
            f"cannot resume after {text!a}: it is not an id of this stream",
            field="Last-Event-ID",
            hint="leave it out to start anew",
        )
    pairs = (part.split(".") for part in text.split("~") if part)
    return {short: int(offset) for short, offset in pairs}


async def last_lines(
    logs: LogReader, ids: Iterable[TaskId], *, tail: int, since: float | None = None
) -> list[LogLine]:
    """Read the last lines of several tasks together, oldest first."""
    lines: list[LogLine] = []
    for task_id in ids:
        lines += await logs.read(task_id, tail=tail, since=since)
        lines = sorted(lines, key=_moment)[-tail:] if tail else []
    return lines


def _moment(line: LogLine) -> float:
    return line.at
