"""The records everything speaks of. Frozen; a change is a new record.

Times are seconds since the epoch, UTC, as float. Sizes are bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from paas.core.ids import AppId, ArtifactId, BuildId, DeploymentId, TaskId
from paas.core.states import BuildState, DeploymentState, TaskState

ProcessType = Literal["tish", "docker"]

DEFAULT_NAMESPACE = "default"
DEVELOPMENT = "development"
PRODUCTION = "production"


@dataclass(frozen=True, slots=True, kw_only=True)
class WakePolicy:
    """Which kinds of request may wake the app and count as use; all refused by default."""

    well_known: bool = False  # /favicon.ico and /robots.txt
    health: bool = False  # the app's own health path
    crawlers: bool = False  # search engines, link previews
    probes: bool = False  # uptime monitors


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    id: AppId
    name: str
    namespace: str
    subdomain: str
    description: str | None
    labels: Mapping[str, str]
    default_deployment_spec: Mapping[str, object] | None  # as given; completes a new spec
    wake_policy: WakePolicy
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """Bytes that can run. Without a SHA-256 it is a promise: created, not uploaded yet."""

    id: ArtifactId
    name: str
    content_type: str
    size_bytes: int | None
    sha256: str | None
    created_at: float
    uploaded_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Where private images come from, and who we are there. The password is kept apart, sealed."""

    host: str  # as registries.normal_host writes it
    username: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A secret as the database keeps it: only the vault opens it, and only in its place."""

    key_id: str
    box: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """How an image is made of a context."""

    dockerfile: str = "Dockerfile"  # its path in the context
    target: str | None = None  # the stage to end with; None: the last
    args: Mapping[str, str] = field(default_factory=dict)  # no place for secrets: images keep them
    no_cache: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One attempt to make an image from source."""

    id: BuildId
    app_id: AppId
    state: BuildState
    reason: str | None  # why it is in this state, for people
    options: BuildOptions
    context_sha256: str
    context_bytes: int  # as it was sent
    image: str | None  # the name of what was made
    image_id: str | None
    image_bytes: int | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    updated_at: float


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
class Spec:
    """What a deployment asks for. `tish` is Zectre's word for a native program."""

    process_type: ProcessType = "tish"
    artifact_id: ArtifactId | None = None
    image: str | None = None
    pull: Literal["missing", "always"] = "missing"  # when the image is asked for at its registry
    replicas: int = 1
    resources: Resources = field(default_factory=Resources)
    networking: Networking = field(default_factory=Networking)
    env: Mapping[str, str] = field(default_factory=dict)
    cold_start_enabled: bool = True
    idle_timeout_secs: float = 300
    idle: Idle = field(default_factory=Idle)
    max_runtime_secs: float | None = None
    volumes: tuple[Volume, ...] = ()
    start_timeout_secs: float = 60  # from its start until it is ready
    stop_grace_secs: float = 10  # between SIGTERM and SIGKILL

    @property
    def stops_after_secs(self) -> float:
        """Say after how long without use its tasks are stopped."""
        own = self.idle.stop_after_secs
        return self.idle_timeout_secs if own is None else own

    @property
    def exclusive_paths(self) -> frozenset[str]:
        """Name the volumes that one task at a time may write."""
        return frozenset(volume.host_path for volume in self.volumes if not volume.is_shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One numbered version of an app in an environment."""

    id: DeploymentId
    app_id: AppId
    sha: str
    version: int
    environment: str
    state: DeploymentState
    reason: str | None  # why it is in this state, for people
    spec: Spec
    revision: int  # grows when a change of the spec needs new tasks
    command: tuple[str, ...] | None  # argv inside the unpacked artifact, once known
    image: str | None  # what its tasks run, once known: by digest or id, so that no tag can move it
    exposed_port: int | None  # where the image says that it listens
    slept_at: float  # use before this moment does not keep it awake (sleep, scale to zero)
    woken_at: float  # counts as use (wake); also forgets earlier failures
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run of a deployment's program."""

    id: TaskId
    deployment_id: DeploymentId
    revision: int  # of the deployment's spec, when the task was made
    state: TaskState
    reason: str | None
    port: int | None
    exit_code: int | None  # 128 + N when signal N ended it
    crashed: bool  # it ended, or was given up, without anybody having asked it to stop
    stop_requested: bool  # somebody asked for this one task to end
    created_at: float
    started_at: float | None
    ready_at: float | None
    ended_at: float | None
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Another deployment of the same app that has a volume in common which one task at a time may write."""

    version: int
    environment: str
    state: DeploymentState
    holds: bool  # a task of it is there that may write


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact with a sequence number, such as `task.running` or `app.created`."""

    seq: int
    at: float
    kind: str
    app_id: AppId | None
    deployment_id: DeploymentId | None
    task_id: TaskId | None
    reason: str | None
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What traffic wants of a deployment now; kept by the router, never stored."""

    waiting: int
    in_flight: int
    last_used: float  # 0 when never since the agent started


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why requests for a deployment are answered 503 at once, and until when (epoch seconds)."""

    reason: str
    until: float | None  # None: until its owner acts
    is_fault: bool = True  # of the app's; else the host has no room for it just now


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """What a driver sees of one task."""

    task_id: TaskId
    status: Literal["up", "frozen", "exited"]
    address: Address | None = None
    pid: int | None = None  # natively that of the session and process group
    exit_code: int | None = None  # None also when it cannot be known any more
    oom_killed: bool = False  # it ended because it wanted more memory than it may have

    @property
    def lives(self) -> bool:
        return self.status != "exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a builder made of a deployment: how its tasks are started."""

    command: tuple[str, ...] = ()  # argv inside the unpacked artifact
    image: str | None = None  # by digest or id
    exposed_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """What a build came to."""

    name: str  # of its own, with a tag
    id: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """All that a driver needs to run one task."""

    task_id: TaskId
    deployment_id: DeploymentId
    app_id: AppId
    app_name: str = ""
    artifact_sha256: str = ""  # of a native program
    image: str = ""  # of a container
    command: tuple[str, ...]
    env: Mapping[str, str]  # complete but for HOST, PORT, PATH and the like, which the driver adds
    port: int  # where it has to listen, in its own network if it has one
    cpu_millis: int
    memory_bytes: int
    pids: int | None = None
    max_runtime_secs: float | None
    grace_secs: float = 10  # between being asked to end and being killed
    hosts: Mapping[str, str] = field(default_factory=dict)  # addresses of names, in a network of its own
    volumes: tuple[Volume, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseStats:
    """How long one phase of wakes took, in seconds; percentiles and `last` are of the last few."""

    count: int
    total: float
    last: float  # 0 when it has not come to that yet
    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WakePhases:
    queue: PhaseStats  # from the first waiter until its start is submitted
    start: PhaseStats  # until the driver has started the task
    ready: PhaseStats  # until the task may take traffic
    first_byte: PhaseStats  # until an answer begins; fewer, since a client may leave before


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeStats:
    """How long wakes took, in seconds: from the first waiter to the first ready task.

    `count` is of all since the agent started, the rest of the last few.
    """

    count: int
    last: float
    p50: float
    p95: float
    phases: WakePhases


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Requests of a deployment or a task since the agent started, and bytes as on the clients' wire."""

    requests: int
    answers: Mapping[str, int]  # by class, "2xx"; "none": the client left before any; "tcp": a connection
    bytes_in: int
    bytes_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What only memory knows of a deployment, for the API to show."""

    hosts: tuple[str, ...]
    demand: Demand
    ready_tasks: frozenset[TaskId]
    frozen_tasks: frozenset[TaskId]
    refusal: Refusal | None
    wakes: WakeStats | None
    refused: Mapping[str, int]  # requests that were not let wake it, by class
    port: int | None = None  # of the proxy's, that leads to it (protocol tcp)
    port_problem: str | None = None  # why the proxy does not listen there


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCounted:
    """What the router counted of a task that takes traffic, or still ends what it had."""

    in_flight: int
    traffic: Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What the router counted of a deployment since the agent started, with the tasks that serve it now."""

    deployment_id: DeploymentId
    app_id: AppId
    demand: Demand
    traffic: Traffic  # of all its tasks, ended ones included, and of answers in their place
    tasks: Mapping[TaskId, TaskCounted]
    refused: Mapping[str, int]  # requests that were not let wake it, by class
    wakes: WakeStats | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one task uses, all of its processes together."""

    cpu_secs: float  # since it started
    memory_bytes: int  # without file pages that the kernel can drop at once
    memory_peak_bytes: int
    oom_kills: int  # processes that the kernel killed for the memory limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is known of an app over all its tasks, those of before the last restart of the agent included."""

    memory_peak_bytes: int  # of one task
    crashes: int  # tasks that ended, or were given up, without anybody having asked them to
    oom_kills: int
