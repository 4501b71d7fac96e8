"""What native tasks use, and what those used that have just ended."""

import threading
from collections.abc import Iterable

from paas.core.ids import TaskId
from paas.core.live import Usage
from paas.drivers.usage import LastUsage, of_group, of_processes
from paas.launching.cgroups import Cgroups


class NativeUsage(LastUsage):
    """Looks at control groups where there are any, else at processes."""

    def __init__(self, cgroups: Cgroups | None) -> None:
        super().__init__()
        self._cgroups = cgroups
        self._last_look = threading.Lock()

    def look(self, group: str, members: Iterable[int]) -> Usage | None:
        """Measure a task, also one that has ended, as long as its control group is there. Blocks."""
        if self._cgroups is None:
            return of_processes(members)
        return of_group(self._cgroups.base / group, members)

    def note_end(self, task_id: TaskId, group: str) -> None:
        """Look a last time at a task that is about to lose its control group. Blocks."""
        with self._last_look:  # what is seen is noted before a `forget`, or not at all
            self.note(task_id, self.look(group, ()))

    def forget(self, task_id: TaskId) -> None:
        """Know nothing more of a task, whose control group is gone. May wait for a last look."""
        with self._last_look:
            super().forget(task_id)

    def was_killed_for_memory(self, task_id: TaskId) -> bool:
        return any(seen.oom_kills > 0 for seen in self.of([task_id]).values())
