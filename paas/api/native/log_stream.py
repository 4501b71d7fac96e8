"""The live log of a deployment: its tasks come and go, the stream stays."""

import contextlib
import re
from collections.abc import Iterable, Mapping

import msgspec

from paas.api.kit.events import Send
from paas.api.kit.parts import ApiParts
from paas.api.native import shapes
from paas.core.errors import Invalid
from paas.core.ids import DeploymentId, TaskId
from paas.core.masking import NOTHING
from paas.store import tasks
from paas.task_logs import LogLine, TaskLogs

SHORT = 8  # characters of a task's id that tell the tasks of one deployment apart

_CURSORS = re.compile(r"[0-9a-f]{8}\.[0-9]{1,15}(~[0-9a-f]{8}\.[0-9]{1,15})*")


class LogStream:
    """Sends every line of every task once, across reconnections; for one client, run once.

    `cursors` is what `read_cursors` made of the last frame's id; without, the last `tail` lines come first.
    """

    def __init__(
        self,
        parts: ApiParts,
        deployment_id: DeploymentId,
        *,
        cursors: Mapping[str, int] | None,
        tail: int,
        process: str | None,
    ) -> None:
        self._parts = parts
        self._deployment_id = deployment_id
        self._resumed = cursors
        self._tail = tail
        self._process = process  # None: all
        self._processes: dict[TaskId, str] = {}
        self._mask = NOTHING
        self._sent: dict[TaskId, int] = {}  # offsets; of a task that is absent nothing was sent

    async def run(self, send: Send) -> None:
        """Send what was written before, then what comes, for ever."""
        known = await self._task_ids()
        if self._resumed is None:
            await self._send_tail(known, send)
        else:
            self._sent = {id_: self._resumed[id_[:SHORT]] for id_ in known if id_[:SHORT] in self._resumed}
        async with contextlib.aclosing(self._parts.logs.follow(self._sent, self._task_ids)) as lines:
            async for line in lines:
                await self._send(line, send)

    async def _send_tail(self, known: Iterable[TaskId], send: Send) -> None:
        lines: list[LogLine] = []
        ends: dict[TaskId, int] = {}
        for task_id in known:
            # Read once: what is written after it is no more of the tail, and is followed.
            found = await self._parts.logs.read(task_id, tail=max(1, self._tail))
            if found:
                ends[task_id] = found[-1].offset
            lines = _last([*lines, *found], self._tail)
        for task_id in ends.keys() - {line.task_id for line in lines}:
            self._sent[task_id] = ends[task_id]
        for line in lines:
            await self._send(line, send)

    async def _send(self, line: LogLine, send: Send) -> None:
        self._sent[line.task_id] = line.offset
        cursors = "~".join(f"{task_id[:SHORT]}.{offset}" for task_id, offset in self._sent.items())
        await send(
            cursors, msgspec.json.encode(shapes.log_entry(line, self._processes[line.task_id], self._mask))
        )

    async def _task_ids(self) -> list[TaskId]:
        """Name the tasks; with every new one, what is to be hidden may be more."""
        self._mask |= await self._parts.variables.mask_of(self._deployment_id)
        known = await tasks.of_deployment(self._parts.reader, self._deployment_id)
        wanted = {task.id: task.process for task in known if self._process in (None, task.process)}
        self._processes |= wanted
        return list(wanted)


def read_cursors(text: str) -> dict[str, int]:
    """Read the id of a frame: how far each task's output was sent. Raises Invalid."""
    if _CURSORS.fullmatch(text) is None:
        raise Invalid(
            f"cannot resume after {text!a}: it is not an id of this stream",
            field="Last-Event-ID",
            hint="leave it out to start anew",
        )
    pairs = (part.split(".") for part in text.split("~"))
    return {short: int(offset) for short, offset in pairs}


async def last_lines(
    logs: TaskLogs, ids: Iterable[TaskId], *, tail: int, since: float | None = None
) -> list[LogLine]:
    """Read the last lines of several tasks together, oldest first."""
    lines: list[LogLine] = []
    for task_id in ids:
        lines = _last([*lines, *await logs.read(task_id, tail=tail, since=since)], tail)
    return lines


def _last(lines: Iterable[LogLine], tail: int) -> list[LogLine]:
    return sorted(lines, key=_moment)[-tail:] if tail else []


def _moment(line: LogLine) -> float:
    return line.at
