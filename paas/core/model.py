"""The records everything speaks of. Frozen; a change is a new record.

Times are seconds since the epoch, UTC, as float. Sizes are bytes.
"""

from collections.abc import Mapping
from typing import Literal

from paas.core.ids import AppId, ArtifactId, BuildId, DeploymentId, TaskId
from paas.core.records import dataclass, field
from paas.core.spec import WEB, Spec, Volume
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
class Environment:
    """Where versions of an app are deployed, one of them being current."""

    app_id: AppId
    slug: str
    label: str | None  # the first of its host; None: another app has that host
    current_deployment_id: DeploymentId | None
    pull_request: int | None  # the number of the one that it previews
    created_at: float


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
    processes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # those beside web, likewise
    release: tuple[str, ...] | None = None  # likewise
    build_id: BuildId | None = None  # whose result it runs
    slept_at: float  # use before this moment does not keep it awake (sleep, scale to zero)
    woken_at: float  # counts as use (wake); also forgets earlier failures
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run of a deployment's program."""

    id: TaskId
    deployment_id: DeploymentId
    process: str = WEB
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
    processes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # beside web, by name
    release: tuple[str, ...] | None = None  # to be run once before them


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
    env: Mapping[str, str] = field(repr=False)  # complete but for HOST, PORT, PATH and what the driver adds
    port: int  # where it has to listen, in its own network if it has one
    listens: bool = True  # else it is told no port
    cpu_millis: int
    memory_bytes: int
    pids: int | None = None
    max_runtime_secs: float | None
    grace_secs: float = 10  # between being asked to end and being killed
    hosts: Mapping[str, str] = field(default_factory=dict)  # addresses of names, in a network of its own
    volumes: tuple[Volume, ...] = ()
