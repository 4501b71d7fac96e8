"""The records everything speaks of. Frozen; a change is a new record.

Times are seconds since the epoch, UTC, as float. Sizes are bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from paas.core.ids import AppId, ArtifactId, DeploymentId, TaskId
from paas.core.states import DeploymentState, TaskState

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
class Resources:
    """Limits of one task, in Kubernetes' notation: "250m" CPU is a quarter core, "128Mi" is bytes."""

    cpu: str = "100m"
    memory: str = "128Mi"


@dataclass(frozen=True, slots=True, kw_only=True)
class Networking:
    port: int | None = None  # None: the platform assigns one
    protocol: str = "http"
    health_path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    host_path: str
    container_path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a deployment asks for. `tish` is Zectre's word for a native program."""

    process_type: Literal["tish", "docker"] = "tish"
    artifact_id: ArtifactId | None = None
    image: str | None = None
    replicas: int = 1
    resources: Resources = field(default_factory=Resources)
    networking: Networking = field(default_factory=Networking)
    env: Mapping[str, str] = field(default_factory=dict)
    cold_start_enabled: bool = True
    idle_timeout_secs: float = 300
    max_runtime_secs: float | None = None
    volumes: tuple[Volume, ...] = ()
    start_timeout_secs: float = 60  # from its start until it is ready
    stop_grace_secs: float = 10  # between SIGTERM and SIGKILL


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """What a driver sees of one task."""

    task_id: TaskId
    status: Literal["up", "exited"]
    address: Address | None = None
    pid: int | None = None  # natively that of the session and process group
    exit_code: int | None = None  # None also when it cannot be known any more


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """All that a driver needs to run one task."""

    task_id: TaskId
    deployment_id: DeploymentId
    app_id: AppId
    artifact_sha256: str
    command: tuple[str, ...]
    env: Mapping[str, str]  # complete but for HOST, PORT, PATH and the like, which the driver adds
    port: int
    cpu_millis: int
    memory_bytes: int
    max_runtime_secs: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeStats:
    """How long wakes took, in seconds: from the first waiter to the first ready task."""

    count: int
    last: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What only memory knows of a deployment, for the API to show."""

    hosts: tuple[str, ...]
    demand: Demand
    ready_tasks: frozenset[TaskId]
    refusal: Refusal | None
    wakes: WakeStats | None
    refused: Mapping[str, int]  # requests that were not let wake it, by class
