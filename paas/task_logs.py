"""What tasks wrote, by themselves or copied for them: here it is found, read, followed and deleted."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from paas.core.ids import TaskId
from paas.core.records import dataclass
from paas.log_copy import LogCopy
from paas.log_file import Times, read_lines, start_of_tail
from paas.log_watch import Follower, LogWatch

KEPT_BYTES = 10 * 1024 * 1024
FRESH_S = 600.0  # younger files are not deleted as unknown: their task may be newer than the list


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line. `offset` is where reading goes on after it; `at` is right to about 100 ms."""

    task_id: TaskId
    offset: int
    at: float  # epoch seconds
    message: str


class TaskLogs:
    """One file a task below `root`, of which about the last `kept_bytes` are kept.

    Where a task is not watched, nothing is bounded and times are coarse: call `watch` for every task that
    runs, `unwatch` when it has ended.
    """

    def __init__(self, root: Path, kept_bytes: int = KEPT_BYTES) -> None:
        self._root = root
        self._watch = LogWatch(kept_bytes)
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o711)  # tasks reach their own file, and cannot list the others

    def path(self, task_id: TaskId) -> Path:
        """Say where a task has to append what it writes."""
        return self._root / f"{task_id}.log"

    def copy_of(self, task_id: TaskId) -> LogCopy:
        """Give the log to whoever copies into it what the task writes elsewhere."""
        return LogCopy(self.path(task_id), self._place_path(task_id))

    def watch(self, task_id: TaskId) -> None:
        """Keep times of what the task writes, bound it, wake who follows. May be repeated."""
        if task_id not in self._watch.logs:
            self._watch.begin(task_id, self.path(task_id), self._times_path(task_id))

    def unwatch(self, task_id: TaskId) -> None:
        """Note that the task has ended: a last line without its end is whole now. May be repeated."""
        self._watch.end(task_id)

    async def read(
        self, task_id: TaskId, *, after: int = 0, tail: int | None = None, since: float | None = None
    ) -> list[LogLine]:
        """Read the lines after an offset, of those the last `tail`, of those the ones not before `since`."""
        ended = task_id not in self._watch.logs
        lines = await asyncio.to_thread(self._read_all, task_id, after, tail, ended=ended)
        return lines if since is None else [line for line in lines if line.at >= since]

    async def last_line(self, task_id: TaskId) -> str:
        """Read the last line that a task wrote; empty if there is none."""
        lines = await self.read(task_id, tail=1)
        return lines[-1].message if lines else ""

    async def follow(
        self,
        cursors: Mapping[TaskId, int],
        tasks: Callable[[], Awaitable[Iterable[TaskId]]] | None = None,
    ) -> AsyncGenerator[LogLine, None]:
        """Yield what tasks write after their offsets, for ever; what is there already comes first.

        `tasks` names the tasks to follow beyond those of `cursors`, from their first line; it is asked
        again when a task starts or ends. To resume, give the last `offset` seen of each task.
        """
        positions = dict(cursors)
        with self._watch.follower() as follower:
            follower.changed.update(positions)
            while True:
                if follower.tasks_changed:
                    follower.tasks_changed = False
                    await _add_tasks(tasks, positions, follower)
                for line in await self._read_changed(positions, follower):
                    yield line
                await follower.wait()

    async def delete(self, task_id: TaskId) -> None:
        """Delete what a task wrote; absent is success."""
        self.unwatch(task_id)
        await asyncio.to_thread(self._delete, task_id)

    async def keep_only(self, task_ids: Iterable[TaskId]) -> None:
        """Delete the logs of all other tasks, but none that was changed in the last minutes."""
        await asyncio.to_thread(self._keep_only, frozenset(task_ids) | frozenset(self._watch.logs))

    def close(self) -> None:
        """Watch no longer; the tasks write on."""
        self._watch.close()

    async def _read_changed(self, positions: dict[TaskId, int], follower: Follower) -> list[LogLine]:
        """Read a piece of each changed task, in the order of time."""
        batch: list[LogLine] = []
        for task_id in [task_id for task_id in positions if task_id in follower.changed]:
            follower.changed.discard(task_id)
            ended = task_id not in self._watch.logs
            lines, position = await asyncio.to_thread(
                self._read_piece, task_id, positions[task_id], ended=ended
            )
            if position != positions[task_id]:
                positions[task_id] = position
                follower.changed.add(task_id)  # there may be more
            batch += lines
        follower.changed.intersection_update(positions)
        return sorted(batch, key=lambda line: line.at)

    def _read_all(self, task_id: TaskId, after: int, tail: int | None, *, ended: bool) -> list[LogLine]:
        position = after if tail is None else start_of_tail(self.path(task_id), tail, after)
        found: list[LogLine] = []
        while True:
            lines, next_position = self._read_piece(task_id, position, ended=ended)
            found += lines
            if next_position == position:
                return found if tail is None else found[max(0, len(found) - tail) :]
            position = next_position

    def _read_piece(self, task_id: TaskId, after: int, *, ended: bool) -> tuple[list[LogLine], int]:
        path = self.path(task_id)
        lines, position = read_lines(path, after, ended=ended)
        if not lines:
            return [], position
        watched = self._watch.logs.get(task_id)
        times = watched.times if watched else Times(self._times_path(task_id))
        newest = _modified_at(path)
        return [
            LogLine(
                task_id=task_id,
                offset=offset,
                at=times.of(offset, newest),
                message=line.decode("utf-8", "replace"),
            )
            for offset, line in lines
        ], position

    def _delete(self, task_id: TaskId) -> None:
        self.path(task_id).unlink(missing_ok=True)
        self._times_path(task_id).unlink(missing_ok=True)
        self._place_path(task_id).unlink(missing_ok=True)

    def _keep_only(self, task_ids: frozenset[TaskId]) -> None:
        for path in self._root.glob("*.log"):
            task_id = TaskId(path.stem)
            if task_id not in task_ids and path.stat().st_mtime < time.time() - FRESH_S:
                self._delete(task_id)

    def _times_path(self, task_id: TaskId) -> Path:
        return self._root / f"{task_id}.times"

    def _place_path(self, task_id: TaskId) -> Path:
        return self._root / f"{task_id}.place"


async def _add_tasks(
    tasks: Callable[[], Awaitable[Iterable[TaskId]]] | None,
    positions: dict[TaskId, int],
    follower: Follower,
) -> None:
    if tasks is None:
        return
    for task_id in await tasks():
        if task_id not in positions:
            positions[task_id] = 0
            follower.changed.add(task_id)


def _modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # deleted while it was read
        return time.time()
