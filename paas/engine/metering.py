"""What tasks use now, and what each app was ever seen to need."""

import logging
from collections.abc import Collection, Iterable, Mapping

from paas.core.errors import PaasError
from paas.core.ids import AppId, TaskId
from paas.core.live import Measured, Usage
from paas.core.model import Task
from paas.core.ports import Clock, Driver, Meter
from paas.core.records import replace
from paas.counting import Counting
from paas.store import usage
from paas.store.database import Database

logger = logging.getLogger(__name__)

NEVER_MEASURED = Measured(memory_peak_bytes=0, crashes=0, oom_kills=0)
EVERY_SECS = 15.0  # how often running tasks are looked at for their peaks


class Metering:
    """Asks those drivers that can measure. Nothing of it is on the way of a request or a wake."""

    def __init__(
        self, database: Database, drivers: Collection[Driver], counting: Counting, clock: Clock
    ) -> None:
        self._database = database
        self._drivers = drivers
        self._counting = counting
        self._clock = clock
        self._peaks: dict[AppId, int] = {}
        self._written: dict[AppId, int] = {}

    @property
    def peaks(self) -> Mapping[AppId, int]:
        """Give the most memory that one task of each app was seen to use, in bytes; live."""
        return self._peaks

    async def load(self) -> None:
        """Recall the peaks of before."""
        for app_id, kept in (await usage.of_all(self._database.reader)).items():
            self._note_peak(app_id, kept.memory_peak_bytes)
        self._written = dict(self._peaks)

    async def measure(self, task_ids: Iterable[TaskId]) -> dict[TaskId, Usage]:
        """Say what tasks use; those that cannot be measured now are absent."""
        seen = await self._ask(task_ids)
        apps = self._counting.serving()
        for task_id, usage_of_task in seen.items():
            if task_id in apps:
                self._note_peak(apps[task_id], usage_of_task.memory_peak_bytes)
        return seen

    async def _ask(self, task_ids: Iterable[TaskId]) -> dict[TaskId, Usage]:
        wanted = list(task_ids)
        seen: dict[TaskId, Usage] = {}
        for driver in self._drivers if wanted else ():
            if isinstance(driver, Meter):
                try:
                    seen |= await driver.measure(wanted)
                except (PaasError, OSError) as error:
                    logger.debug("Cannot measure: %s", error, extra={"event": "measure.failed"})
        return seen

    async def run(self) -> None:
        """Look at what runs now and then, until cancelled: a peak between two looks may be missed."""
        while True:
            await self._clock.sleep(EVERY_SECS)
            await self.measure(self._counting.serving())

    async def note_end(
        self, app_id: AppId, task: Task, *, crashed: bool = False, oom_killed: bool = False
    ) -> None:
        """Take in what an ended task has used, and write down what a restart should know."""
        seen = (await self._ask([task.id])).get(task.id)
        if seen is not None:
            self._counting.note_cpu(task.deployment_id, seen.cpu_secs)
            self._note_peak(app_id, seen.memory_peak_bytes)
        told = Measured(
            memory_peak_bytes=self._peaks.get(app_id, 0),
            crashes=int(crashed),
            oom_kills=max(seen.oom_kills if seen is not None else 0, int(oom_killed)),
        )
        is_known = told.memory_peak_bytes == self._written.get(app_id, 0)
        if is_known and not (told.crashes or told.oom_kills):
            return
        try:
            async with self._database.record() as tx:
                await usage.note(tx, app_id, told)
        except PaasError as error:
            logger.warning("Cannot record what a task used: %s", error, extra={"event": "record.failed"})
        else:
            self._written[app_id] = told.memory_peak_bytes

    async def measured(self, app_ids: Collection[AppId]) -> dict[AppId, Measured]:
        """Read what is known of apps, ended tasks and those that run."""
        kept = await usage.of_apps(self._database.reader, app_ids)
        found = {app_id: kept.get(app_id, NEVER_MEASURED) for app_id in app_ids}
        for app_id, peak in self._peaks.items():
            if app_id in found and found[app_id].memory_peak_bytes != peak:
                found[app_id] = replace(found[app_id], memory_peak_bytes=peak)
        return found

    def _note_peak(self, app_id: AppId, memory_bytes: int) -> None:
        if memory_bytes > self._peaks.get(app_id, 0):
            self._peaks[app_id] = memory_bytes
