"""The logs that living tasks write, looked at as they grow: their lines get times, their size a bound."""

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paas.core.ids import TaskId
from paas.inotify import Inotify
from paas.log_file import Times, bound, live_from

logger = logging.getLogger(__name__)

PAUSE_S = 0.1  # between two looks at a file; also how exact the time of a line is


class WatchedLog:
    """A file that a living task writes."""

    __slots__ = ("bounding", "live_from", "number", "path", "size_bytes", "task_id", "timer", "times")

    def __init__(self, task_id: TaskId, path: Path, times: Times) -> None:
        self.task_id = task_id
        self.path = path
        self.times = times
        self.size_bytes = -1
        self.live_from = 0
        self.number: int | None = None  # of its watch, until that fires
        self.timer: asyncio.TimerHandle | None = None
        self.bounding = False


class Follower:
    """What one reader has to look at again: logs that changed, and perhaps which tasks there are."""

    __slots__ = ("_woken", "changed", "tasks_changed")

    def __init__(self) -> None:
        self.changed: set[TaskId] = set()
        self.tasks_changed = True
        self._woken = asyncio.Event()

    def look_at(self, task_id: TaskId) -> None:
        self.changed.add(task_id)
        self._woken.set()

    def look_for_tasks(self) -> None:
        self.tasks_changed = True
        self._woken.set()

    async def wait(self) -> None:
        """Wait until there is something to look at."""
        if not self.changed and not self.tasks_changed:
            self._woken.clear()
            await self._woken.wait()


class LogWatch:
    """Keeps each log in `logs` to about its last `kept_bytes`, and knows when its lines were written.

    A quiet task costs nothing; one that floods costs a look each 100 ms.
    """

    def __init__(self, kept_bytes: int) -> None:
        self.logs: dict[TaskId, WatchedLog] = {}
        self._kept_bytes = kept_bytes
        self._by_number: dict[int, WatchedLog] = {}
        self._followers: set[Follower] = set()
        self._inotify: Inotify | None = None

    def begin(self, task_id: TaskId, path: Path, times_path: Path) -> None:
        """Watch a log, made if it is absent; it must not be watched yet. Raises OSError."""
        if self._inotify is None:
            self._inotify = Inotify()
            asyncio.get_running_loop().add_reader(self._inotify.descriptor, self._on_written)
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o620)
        try:
            live = live_from(descriptor)
        finally:
            os.close(descriptor)
        watched = WatchedLog(task_id, path, Times(times_path))
        watched.live_from = live
        self.logs[task_id] = watched
        for follower in self._followers:
            follower.look_for_tasks()
        self._arm(watched)

    def end(self, task_id: TaskId) -> None:
        """Look at a log for the last time. May be repeated."""
        watched = self.logs.pop(task_id, None)
        if watched is None:
            return
        if watched.timer is not None:
            watched.timer.cancel()
        if watched.number is not None and self._inotify is not None:
            self._by_number.pop(watched.number, None)
            self._inotify.drop(watched.number)
        self._note(watched)
        for follower in self._followers:
            follower.look_at(task_id)
            follower.look_for_tasks()

    @contextmanager
    def follower(self) -> Iterator[Follower]:
        """Tell a follower, as long as the context lasts, what changes in any log."""
        follower = Follower()
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    def close(self) -> None:
        """Watch no longer; the tasks write on."""
        for watched in self.logs.values():
            if watched.timer is not None:
                watched.timer.cancel()
        self.logs.clear()
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.descriptor)
            self._inotify.close()
            self._inotify = None

    def _on_written(self) -> None:
        if self._inotify is None:
            return
        for number in self._inotify.read():
            if number < 0:  # the kernel's queue was too short: any of them may have written
                for watched in list(self._by_number.values()):
                    self._pause(watched)
                self._by_number.clear()
            elif number in self._by_number:
                self._pause(self._by_number.pop(number))

    def _pause(self, watched: WatchedLog) -> None:
        """Look at what was written, and then not again for a while, whatever the task does."""
        watched.number = None
        self._note(watched)
        watched.timer = asyncio.get_running_loop().call_later(PAUSE_S, self._arm, watched)

    def _arm(self, watched: WatchedLog) -> None:
        if self._inotify is None:
            return
        try:
            watched.number = self._inotify.watch_once(watched.path)
            self._by_number[watched.number] = watched
        except OSError as error:
            logger.warning("Cannot watch a log: %s", error, extra={"task": watched.task_id})
        self._note(watched)  # written between the last look and the watch

    def _note(self, watched: WatchedLog) -> None:
        try:
            status = watched.path.stat()
            if status.st_size == watched.size_bytes:
                return
            watched.size_bytes = status.st_size
            watched.times.note(status.st_size, status.st_mtime)
        except OSError as error:  # a full disk, or a file deleted by hand: the lines lose their times
            logger.warning("Cannot note when a task wrote: %s", error, extra={"task": watched.task_id})
        for follower in self._followers:
            follower.look_at(watched.task_id)
        self._bound_if_due(watched)

    def _bound_if_due(self, watched: WatchedLog) -> None:
        if watched.bounding or watched.size_bytes - watched.live_from <= self._kept_bytes * 5 // 4:
            return
        watched.bounding = True
        size_bytes = watched.size_bytes
        bounding = asyncio.get_running_loop().run_in_executor(None, self._bound, watched)
        bounding.add_done_callback(lambda _: self._bounded(watched, size_bytes))

    def _bounded(self, watched: WatchedLog, size_bytes: int) -> None:
        watched.bounding = False
        if watched.size_bytes != size_bytes:  # it wrote on meanwhile, perhaps for the last time
            self._bound_if_due(watched)

    def _bound(self, watched: WatchedLog) -> None:
        try:
            watched.live_from = bound(watched.path, self._kept_bytes)
        except OSError as error:
            logger.warning("Cannot bound a log: %s", error, extra={"task": watched.task_id})
