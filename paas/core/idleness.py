"""How awake a deployment should be, by what traffic wants of it and when it was last used."""

from enum import Enum

from paas.core.live import Demand
from paas.core.model import Deployment
from paas.core.records import dataclass
from paas.core.states import DeploymentState


class Level(Enum):
    AWAKE = "awake"
    FROZEN = "frozen"  # its tasks keep their memory and do not run
    ASLEEP = "asleep"  # it has no tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A level, and when to ask again."""

    level: Level
    until: float | None = None
    until_idle: bool = False  # until the last open request ends


def wanted(
    deployment: Deployment,
    demand: Demand,
    now: float,
    *,
    found_at: float,
    can_freeze: bool,
    evicted_at: float,
) -> Wanted:
    """Say how awake it should be now.

    `found_at`: when this agent found frozen tasks of it, else 0. That counts as use, since the last use
    was in the memory of the agent before, but it thaws nothing. `evicted_at`: when others needed its
    memory, else 0; use after that is not affected.
    """
    spec = deployment.spec
    if not spec.cold_start_enabled:
        return Wanted(level=Level.AWAKE if deployment.state is DeploymentState.ACTIVE else Level.ASLEEP)
    if demand.waiting:
        return Wanted(level=Level.AWAKE)
    used_at = max(demand.last_used, deployment.woken_at)
    kept_from = max(used_at, found_at)
    if kept_from <= deployment.slept_at:
        return Wanted(level=Level.ASLEEP)
    if demand.in_flight:
        return Wanted(level=Level.AWAKE, until_idle=True)
    if kept_from <= evicted_at:
        return Wanted(level=Level.ASLEEP)
    stop_at = kept_from + spec.stops_after_secs
    freeze_after = spec.idle.freeze_after_secs
    freeze_at = stop_at if freeze_after is None or not can_freeze else min(stop_at, used_at + freeze_after)
    if now < freeze_at:
        return Wanted(level=Level.AWAKE, until=freeze_at)
    if now < stop_at:
        return Wanted(level=Level.FROZEN, until=stop_at)
    return Wanted(level=Level.ASLEEP)
