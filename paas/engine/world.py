"""What the reconciler and the executor share: the parts that act, and plain settings."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from paas.core.ids import DeploymentId, TaskId
from paas.core.model import Deployment
from paas.core.ports import Builder, Clock, Driver, Freezer
from paas.core.records import dataclass, field
from paas.core.spec import ProcessType
from paas.engine.admission import HostMemory
from paas.engine.metering import Metering
from paas.engine.neighbours import ProxyPlace
from paas.engine.variables import Variables
from paas.log_copy import LogCopy
from paas.router import Router
from paas.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    domain: str
    first_port: int = 20000  # below the range the kernel takes for outgoing connections
    last_port: int = 29999
    drain: timedelta = timedelta(seconds=30)  # how long a task out of traffic may finish requests
    resync: timedelta = timedelta(minutes=5)
    reserved_memory_percent: float = 0.0  # of the host's, kept free of starts; 0: none
    starts_at_once: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    database: Database
    router: Router
    drivers: Mapping[ProcessType, Driver]
    builders: Mapping[ProcessType, Builder]
    freezers: Mapping[ProcessType, Freezer]  # of the drivers that can
    clock: Clock
    settings: EngineSettings
    metering: Metering
    variables: Variables
    host_memory: Callable[[], HostMemory]
    task_started: Callable[[TaskId], None]  # its output is worth watching
    task_ended: Callable[[TaskId], None]
    copy_of_log: Callable[[TaskId], LogCopy]  # where to keep what a task wrote, if its driver tells it
    last_line: Callable[[TaskId], Awaitable[str]]  # of what an ended task wrote; empty if it wrote nothing
    poke: Callable[[DeploymentId], None]
    proxy: ProxyPlace = field(default_factory=ProxyPlace)

    def driver(self, deployment: Deployment) -> Driver:
        return self.drivers[deployment.spec.process_type]

    def freezer(self, deployment: Deployment) -> Freezer | None:
        return self.freezers.get(deployment.spec.process_type)

    def builder(self, deployment: Deployment) -> Builder:
        return self.builders[deployment.spec.process_type]
