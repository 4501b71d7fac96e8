"""What native tasks use, and what those used that have just ended."""

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

    def look(self, group: str, members: Iterable[int]) -> Usage | None:
        """Measure a task, also one that has ended, as long as its control group is there. Blocks."""
        if self._cgroups is None:
            return of_processes(members)
        return of_group(self._cgroups.base / group, members)

    def was_killed_for_memory(self, task_id: TaskId) -> bool:
        return any(seen.oom_kills > 0 for seen in self.of([task_id]).values())
