"""What is known of an agent's containers without asking the engine, and hints of what changed."""

import asyncio
from weakref import WeakValueDictionary

from paas.core.ids import TaskId
from paas.core.model import Instance
from paas.drivers.hints import Hints


class Memory:
    """Whoever acts on a task does so in `alone`, and notes what became of it before leaving."""

    def __init__(self) -> None:
        self.seen: dict[TaskId, Instance] = {}  # started ones, until they are forgotten
        self.prepared: dict[TaskId, str] = {}  # made by us, not started, with what they were made for
        self._locks: WeakValueDictionary[TaskId, asyncio.Lock] = WeakValueDictionary()
        self.hints = Hints()

    def alone(self, task_id: TaskId) -> asyncio.Lock:
        return self._locks.setdefault(task_id, asyncio.Lock())

    def is_in_hand(self, task_id: TaskId) -> bool:
        lock = self._locks.get(task_id)
        return lock is not None and lock.locked()

    def note(self, instance: Instance) -> None:
        """Remember a task that was started; one that is not as it was is hinted."""
        self.prepared.pop(instance.task_id, None)
        known = self.seen.get(instance.task_id)
        self.seen[instance.task_id] = instance
        if known is not None and known != instance:
            self.hints.add(instance.task_id)

    def note_removed(self, task_id: TaskId, exit_code: int | None) -> Instance | None:
        """Remember that a container is gone: it ended, if it was started, with that code."""
        self.prepared.pop(task_id, None)
        known = self.seen.get(task_id)
        if known is not None and known.lives:
            self.note(Instance(task_id=task_id, status="exited", exit_code=exit_code))
        return self.seen.get(task_id)

    def forget(self, task_id: TaskId) -> None:
        self.prepared.pop(task_id, None)
        self.seen.pop(task_id, None)
