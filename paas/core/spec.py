"""What a deployment asks for. Sizes are bytes once they are read, times are seconds."""

from collections.abc import Mapping
from typing import Literal

from paas.core.ids import ArtifactId
from paas.core.records import dataclass, field

ProcessType = Literal["tish", "docker"]

WEB = "web"  # the process that answers requests
RELEASE = "release"  # the one that runs once, before all others
PROCESS_NAME = r"^[a-z][a-z0-9-]{0,29}"  # as a pattern, without its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits of one task, in Kubernetes' notation: "250m" CPU is a quarter core, "128Mi" is bytes."""

    cpu: str = "100m"
    memory: str = "128Mi"
    pids: int | None = None  # processes and threads at once; None: the driver's own bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Networking:
    port: int | None = None  # None: the platform assigns one
    protocol: Literal["http", "tcp"] = "http"
    health_path: str | None = None
    check: Literal["auto", "connect", "postgresql", "redis"] = "auto"  # when a TCP app is ready
    proxy_port: int | None = None  # where the proxy listens for a TCP app; None: assigned once and kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Two levels of sleep, in seconds without use: frozen (memory kept), then stopped."""

    freeze_after_secs: float | None = None  # None: never frozen
    stop_after_secs: float | None = None  # None: as idle_timeout_secs says


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A folder of the host in a container. A bare name is one of the agent's own volumes."""

    host_path: str
    container_path: str
    read_only: bool = False
    exclusive: bool = True  # two tasks never write it at a time; means nothing where it is read only

    @property
    def is_shared(self) -> bool:
        return self.read_only or not self.exclusive


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """How many tasks of a process beside `web` there are, and when."""

    command: str | None = None  # None: as the artifact's Procfile says
    replicas: int = 1
    sleeps: bool = True  # with its deployment; else it runs as long as that is current


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a deployment asks for. `tish` is Zectre's word for a native program."""

    process_type: ProcessType = "tish"
    artifact_id: ArtifactId | None = None
    image: str | None = None
    pull: Literal["missing", "always"] = "missing"  # when the image is asked for at its registry
    replicas: int = 1
    resources: Resources = field(default_factory=Resources)
    networking: Networking = field(default_factory=Networking)
    cold_start_enabled: bool = True
    idle_timeout_secs: float = 300
    idle: Idle = field(default_factory=Idle)
    max_runtime_secs: float | None = None
    volumes: tuple[Volume, ...] = ()
    start_timeout_secs: float = 60  # from its start until it is ready
    stop_grace_secs: float = 10  # between SIGTERM and SIGKILL
    processes: Mapping[str, Process] = field(default_factory=dict)  # beside web, by name
    release: str | None = None  # what runs once before it takes over; None: as the Procfile says

    @property
    def stops_after_secs(self) -> float:
        """Say after how long without use its tasks are stopped."""
        own = self.idle.stop_after_secs
        return self.idle_timeout_secs if own is None else own

    @property
    def exclusive_paths(self) -> frozenset[str]:
        """Name the volumes that one task at a time may write."""
        return frozenset(volume.host_path for volume in self.volumes if not volume.is_shared)
