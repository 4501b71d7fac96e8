"""Starts of what answers no requests: workers, and release commands. Nobody waits for them."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from paas.core.errors import PaasError, Stale, StartFailed, Unavailable
from paas.core.ids import TaskId
from paas.core.model import Task
from paas.core.spec import RELEASE
from paas.core.states import TaskState
from paas.engine.endings import Endings
from paas.engine.log_pump import LogPumps
from paas.engine.starts import claim_volumes, note_starting, start_in_time
from paas.engine.task_specs import TaskSpecs
from paas.engine.world import World
from paas.store import transitions
from paas.store.snapshots import Stored

logger = logging.getLogger(__name__)

LIVES_SECS = 1.0  # a worker that is there so long after its start is up


class WorkerStarts:
    def __init__(self, world: World, specs: TaskSpecs, log_pumps: LogPumps, endings: Endings) -> None:
        self._world = world
        self._specs = specs
        self._log_pumps = log_pumps
        self._endings = endings
        self._starting: dict[TaskId, asyncio.Event] = {}  # set when it has ended

    def note_end(self, task_id: TaskId) -> None:
        """Hear that a task ended, so that a start in hand does not wait for it."""
        if task_id in self._starting:
            self._starting[task_id].set()

    async def start(self, stored: Stored, task: Task, begun: Callable[[], None]) -> None:
        """Start a task, see a worker live for a moment, record it. `begun` is told before that moment."""
        ended = self._starting[task.id] = asyncio.Event()
        started_at = task.started_at or self._world.clock.now()
        try:
            task = await self._begin(stored, task, started_at)
            begun()
            if task.process != RELEASE and not await _lives(ended):
                raise StartFailed("it ended before it was ready")
        except (Unavailable, Stale):
            raise
        except PaasError as error:
            async with self._world.database.record() as tx:
                task = await note_starting(tx, task, None, started_at)
            await self._endings.start_failed(stored, task, error)
            return
        finally:
            self._starting.pop(task.id, None)
        now = self._world.clock.now()
        async with self._world.database.record() as tx:
            await transitions.move_task(tx, task, TaskState.RUNNING, now=now, ready_at=now)
        extra = {"event": "task.ready", "app": stored.app.name, "task": task.id, "of": task.process}
        logger.info("Task runs", extra=extra)

    async def _begin(self, stored: Stored, task: Task, started_at: float) -> Task:
        world = self._world
        if stored.deployment.spec.exclusive_paths:
            task = await claim_volumes(world, stored, task, None, started_at)
        spec = await self._specs.of(stored, task.id, port=0, process=task.process)
        instance = await start_in_time(world, stored, spec)
        world.task_started(task.id)
        self._log_pumps.begin(world.driver(stored.deployment), task.id)
        async with world.database.record() as tx:
            task = await note_starting(tx, task, None, started_at)
        if not instance.lives:
            self.note_end(task.id)
        return task


async def _lives(ended: asyncio.Event) -> bool:
    """Say whether a task is still there after a moment."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LIVES_SECS):
            await ended.wait()
    return not ended.is_set()
