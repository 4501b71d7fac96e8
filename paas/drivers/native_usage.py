"""What native tasks use, and what those used that have just ended."""

from collections.abc import Iterable

from paas.core.ids import TaskId
from paas.core.model import Usage
from paas.drivers import usage
from paas.drivers.cgroups import Cgroups


class NativeUsage:
    """Keeps the last look at each task until it is forgotten."""

    def __init__(self, cgroups: Cgroups | None) -> None:
        self._cgroups = cgroups
        self._last: dict[TaskId, Usage] = {}

    def look(self, group: str, members: Iterable[int]) -> Usage | None:
        """Measure a task, also one that has ended, as long as its control group is there. Blocks."""
        if self._cgroups is None:
            return usage.of_processes(members)
        return usage.of_group(self._cgroups.base / group, members)

    def note(self, task_id: TaskId, seen: Usage | None) -> None:
        joined = usage.later(self._last.get(task_id), seen)
        if joined is not None:
            self._last[task_id] = joined

    def last(self, task_id: TaskId) -> Usage | None:
        return self._last.get(task_id)

    def was_killed_for_memory(self, task_id: TaskId) -> bool:
        last = self._last.get(task_id)
        return last is not None and last.oom_kills > 0

    def forget(self, task_id: TaskId) -> None:
        self._last.pop(task_id, None)
