"""What tasks wrote, by themselves or copied for them: here it is read, followed and bounded."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from paas.core.ids import TaskId
from paas.core.records import dataclass
from paas.inotify import Inotify
from paas.log_copy import LogCopy
from paas.log_file import Times, bound, live_from, read_lines, start_of_tail

logger = logging.getLogger(__name__)

KEPT_BYTES = 10 * 1024 * 1024
PAUSE_S = 0.1  # between two looks at a file; also how exact the time of a line is
FRESH_S = 600.0  # younger files are not deleted as unknown: their task may be newer than the list


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line. `offset` is where reading goes on after it; `at` is right to about 100 ms."""

    task_id: TaskId
    offset: int
    at: float  # epoch seconds
    message: str


class _Watched:
    """A file that a living task writes."""

    __slots__ = ("bounding", "live_from", "path", "size_bytes", "task_id", "timer", "times", "watch")

    def __init__(self, task_id: TaskId, path: Path, times: Times) -> None:
        self.task_id = task_id
        self.path = path
        self.times = times
        self.size_bytes = -1
        self.live_from = 0
        self.watch: int | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.bounding = False


class _Follower:
    """Which tasks one reader has to look at again."""

    __slots__ = ("changed", "tasks_changed", "woken")

    def __init__(self) -> None:
        self.changed: set[TaskId] = set()
        self.tasks_changed = True
        self.woken = asyncio.Event()


class TaskLogs:
    """One file a task below `root`, of which about the last `kept_bytes` are kept.

    A quiet task costs nothing; one that floods costs a look each 100 ms. Where it is not watched, nothing
    is bounded and times are coarse: call `watch` for every task that runs, `unwatch` when it has ended.
    """

    def __init__(self, root: Path, kept_bytes: int = KEPT_BYTES) -> None:
        self._root = root
        self._kept_bytes = kept_bytes
        self._watched: dict[TaskId, _Watched] = {}
        self._by_watch: dict[int, _Watched] = {}
        self._followers: set[_Follower] = set()
        self._inotify: Inotify | None = None
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
        if task_id in self._watched:
            return
        if self._inotify is None:
            self._inotify = Inotify()
            asyncio.get_running_loop().add_reader(self._inotify.descriptor, self._on_written)
        path = self.path(task_id)
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o620)
        try:
            live = live_from(descriptor)
        finally:
            os.close(descriptor)
        watched = _Watched(task_id, path, Times(self._times_path(task_id)))
        watched.live_from = live
        self._watched[task_id] = watched
        self._wake_all()
        self._arm(watched)

    def unwatch(self, task_id: TaskId) -> None:
        """Note that the task has ended: a last line without its end is whole now. May be repeated."""
        watched = self._watched.pop(task_id, None)
        if watched is None:
            return
        if watched.timer is not None:
            watched.timer.cancel()
        if watched.watch is not None and self._inotify is not None:
            self._by_watch.pop(watched.watch, None)
            self._inotify.drop(watched.watch)
        self._note(watched)
        for follower in self._followers:
            follower.changed.add(task_id)
        self._wake_all()

    async def read(
        self, task_id: TaskId, *, after: int = 0, tail: int | None = None, since: float | None = None
    ) -> list[LogLine]:
        """Read the lines after an offset, of those the last `tail`, of those the ones not before `since`."""
        ended = task_id not in self._watched
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
        follower = _Follower()
        positions = dict(cursors)
        follower.changed.update(positions)
        self._followers.add(follower)
        try:
            while True:
                if follower.tasks_changed:
                    follower.tasks_changed = False
                    await _add_tasks(tasks, positions, follower)
                for line in await self._read_changed(positions, follower):
                    yield line
                if not follower.changed and not follower.tasks_changed:
                    follower.woken.clear()
                    await follower.woken.wait()
        finally:
            self._followers.discard(follower)

    async def delete(self, task_id: TaskId) -> None:
        """Delete what a task wrote; absent is success."""
        self.unwatch(task_id)
        await asyncio.to_thread(self._delete, task_id)

    async def keep_only(self, task_ids: Iterable[TaskId]) -> None:
        """Delete the logs of all other tasks, but none that was changed in the last minutes."""
        await asyncio.to_thread(self._keep_only, frozenset(task_ids) | frozenset(self._watched))

    def close(self) -> None:
        """Watch no longer; the tasks write on."""
        for watched in self._watched.values():
            if watched.timer is not None:
                watched.timer.cancel()
        self._watched.clear()
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.descriptor)
            self._inotify.close()
            self._inotify = None

    def _on_written(self) -> None:
        if self._inotify is None:
            return
        for number in self._inotify.read():
            if number < 0:  # the kernel's queue was too short: any of them may have written
                for watched in list(self._by_watch.values()):
                    self._pause(watched)
                self._by_watch.clear()
            elif number in self._by_watch:
                self._pause(self._by_watch.pop(number))

    def _pause(self, watched: _Watched) -> None:
        """Look at what was written, and then not again for a while, whatever the task does."""
        watched.watch = None
        self._note(watched)
        watched.timer = asyncio.get_running_loop().call_later(PAUSE_S, self._arm, watched)

    def _arm(self, watched: _Watched) -> None:
        if self._inotify is None:
            return
        try:
            watched.watch = self._inotify.watch_once(watched.path)
            self._by_watch[watched.watch] = watched
        except OSError as error:
            logger.warning("Cannot watch a log: %s", error, extra={"task": watched.task_id})
        self._note(watched)  # written between the last look and the watch

    def _note(self, watched: _Watched) -> None:
        try:
            status = watched.path.stat()
            if status.st_size == watched.size_bytes:
                return
            watched.size_bytes = status.st_size
            watched.times.note(status.st_size, status.st_mtime)
        except OSError as error:  # a full disk, or a file deleted by hand: the lines lose their times
            logger.warning("Cannot note when a task wrote: %s", error, extra={"task": watched.task_id})
        for follower in self._followers:
            follower.changed.add(watched.task_id)
            follower.woken.set()
        self._bound_if_due(watched)

    def _bound_if_due(self, watched: _Watched) -> None:
        if watched.bounding or watched.size_bytes - watched.live_from <= self._kept_bytes * 5 // 4:
            return
        watched.bounding = True
        size_bytes = watched.size_bytes
        bounding = asyncio.get_running_loop().run_in_executor(None, self._bound, watched)
        bounding.add_done_callback(lambda _: self._bounded(watched, size_bytes))

    def _bounded(self, watched: _Watched, size_bytes: int) -> None:
        watched.bounding = False
        if watched.size_bytes != size_bytes:  # it wrote on meanwhile, perhaps for the last time
            self._bound_if_due(watched)

    def _bound(self, watched: _Watched) -> None:
        try:
            watched.live_from = bound(watched.path, self._kept_bytes)
        except OSError as error:
            logger.warning("Cannot bound a log: %s", error, extra={"task": watched.task_id})

    def _wake_all(self) -> None:
        for follower in self._followers:
            follower.tasks_changed = True
            follower.woken.set()

    async def _read_changed(self, positions: dict[TaskId, int], follower: _Follower) -> list[LogLine]:
        """Read a piece of each changed task, in the order of time."""
        batch: list[LogLine] = []
        for task_id in [task_id for task_id in positions if task_id in follower.changed]:
            follower.changed.discard(task_id)
            ended = task_id not in self._watched
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
        watched = self._watched.get(task_id)
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
    follower: _Follower,
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
