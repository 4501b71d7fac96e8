"""Wakes a deployment in the moment of the request, if what that starts is known and there is room."""

import logging
from collections.abc import Callable

from paas.core.actions import StartTask
from paas.core.ids import DeploymentId
from paas.core.room import Admitted, admit
from paas.engine.admission import Admission
from paas.engine.cpu_latency import CpuLatency
from paas.engine.executor import Executor
from paas.engine.sleepers import Sleepers
from paas.engine.world import World
from paas.store.snapshots import Stored

logger = logging.getLogger(__name__)

HURRY_SECS = 0.01  # programs that take longer to start gain nothing by it


class Waker:
    def __init__(
        self,
        world: World,
        *,
        sleepers: Sleepers,
        admission: Admission,
        executor: Executor,
        latency: CpuLatency,
        begins: Callable[[Stored, tuple[StartTask, ...]], None],
    ) -> None:
        """Take what decides and performs, and who is told of starts that begin."""
        self._world = world
        self._sleepers = sleepers
        self._admission = admission
        self._executor = executor
        self._latency = latency
        self._begins = begins

    def wake(self, key: DeploymentId) -> bool:
        """Begin what plan() said ahead of requests that wait. No: a pass has to decide."""
        try:
            return self._wake(key)
        except Exception:  # one deployment's trouble is not that of who asked for it
            logger.exception("Cannot wake a deployment", extra={"event": "wake.failed", "deployment": key})
            return False

    def _wake(self, key: DeploymentId) -> bool:
        sleeper = self._sleepers.recall(key)
        if sleeper is None or not sleeper.on_demand or self._executor.in_hand(key):
            return False
        stored, starts = sleeper.stored, sleeper.on_demand
        room = self._admission.room(stored.deployment, will_start=True)
        if admit(room, len(starts)) != Admitted(count=len(starts)):
            return False
        self._latency.hold(HURRY_SECS)
        driver = self._world.driver(stored.deployment)
        for start in starts:
            driver.foresee(start.task.id)
        self._admission.stand(key, in_line=False)
        self._begins(stored, starts)
        self._executor.submit(stored, starts)
        return True
