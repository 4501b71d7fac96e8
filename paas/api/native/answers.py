"""What the native API answers. OpenAPI shows the same."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from paas.api.kit.routes import AnyJson
from paas.core.ids import AppId, ArtifactId, BuildId, DeploymentId, TaskId
from paas.core.model import WakePolicy
from paas.core.records import dataclass
from paas.core.spec import Spec

Moment = Annotated[str, Meta(description="RFC 3339, UTC", extra_json_schema={"format": "date-time"})]
TcpAddress = Annotated[
    str | None, Meta(description="host:port, where the proxy leads to what speaks no HTTP (protocol tcp)")
]
Status = Literal["pending", "running", "succeeded", "failed", "cancelled"]
State = Literal["queued", "building", "starting", "active", "superseded", "stopped", "failed", "cancelled"]
Activity = Literal[
    "deploying", "running", "idle", "waking", "frozen", "asleep", "crashed", "stopped", "failed", "cancelled"
]


class Phase(msgspec.Struct, kw_only=True):
    last_ms: float
    p50_ms: float
    p95_ms: float


class WakePhases(msgspec.Struct, kw_only=True):
    """The steps of a wake, one after the other. Those up to `ready` add up to the whole."""

    queue: Annotated[Phase, Meta(description="from the first waiter until a start is submitted")]
    start: Annotated[Phase, Meta(description="until the task is started")]
    ready: Annotated[Phase, Meta(description="until the task may take traffic")]
    first_byte: Annotated[Phase, Meta(description="until an answer begins; 0 while none has")]


class Wakes(msgspec.Struct, kw_only=True):
    """How long the last wakes took, from the first waiter to the first ready task; `count` is of all."""

    count: int
    last_ms: float
    p50_ms: float
    p95_ms: float
    phases: WakePhases


class Process(msgspec.Struct, kw_only=True):
    """A process beside web."""

    name: str
    replicas: int
    sleeps: Annotated[bool, Meta(description="whether it sleeps with its deployment")]
    running: Annotated[int, Meta(description="how many tasks of it run now, frozen ones included")]


class Current(msgspec.Struct, kw_only=True):
    """The deployment that serves an app's own host, or else the newest that is to."""

    deployment_id: DeploymentId
    version: int
    environment: str
    activity: Activity
    tasks_ready: int
    tasks_total: int
    processes: Annotated[list[Process], Meta(description="beside web, whose tasks those are")]
    in_flight: int
    last_used_at: Moment | None
    wakes: Wakes | None
    urls: list[str]


class App(msgspec.Struct, kw_only=True):
    id: AppId
    name: str
    namespace: str
    subdomain: str
    description: str | None
    labels: dict[str, str]
    default_deployment_spec: dict[str, AnyJson] | None
    wake_policy: WakePolicy
    url: str
    tcp_address: TcpAddress
    current: Current | None
    created_at: Moment
    updated_at: Moment


class Environment(msgspec.Struct, kw_only=True):
    """Where versions of an app are deployed. Its URL leads to the current one, if there is any."""

    app_id: AppId
    slug: str
    current_deployment_id: DeploymentId | None
    current_version: int | None
    activity: Annotated[Activity | None, Meta(description="of the current deployment")]
    url: Annotated[str | None, Meta(description="of its own; null where another app has the host")]
    urls: Annotated[list[str], Meta(description="all that lead to the current deployment now")]
    tcp_address: TcpAddress
    pull_request: Annotated[int | None, Meta(description="the number of the one that it previews")]
    created_at: Moment


class Artifact(msgspec.Struct, kw_only=True):
    id: ArtifactId
    name: str
    content_type: str
    size: int | None
    sha256: str | None
    created_at: Moment
    uploaded_at: Moment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSpec(Spec):
    """What a deployment asks for. `env` are its own variables over its app's defaults, but for secrets."""

    env: Mapping[str, str]


class Deployment(msgspec.Struct, kw_only=True):
    id: DeploymentId
    sha: str
    app_id: AppId
    version: int
    status: Status
    state: State
    activity: Activity
    reason: str | None
    spec: DeploymentSpec
    tasks_ready: int
    tasks_total: int
    processes: Annotated[list[Process], Meta(description="beside web, whose tasks those are")]
    progress: Annotated[int, Meta(ge=0, le=100)]
    environment_slug: str
    build_id: Annotated[BuildId | None, Meta(description="whose result it runs; that build may be gone")]
    preview_url: str
    urls: list[str]
    tcp_address: TcpAddress
    is_current: bool
    in_flight: int
    waiting: int
    last_used_at: Moment | None
    retry_at: Moment | None
    wakes: Wakes | None
    refused: dict[str, int]
    created_at: Moment
    updated_at: Moment


class Released(msgspec.Struct, kw_only=True):
    """A deployment that was made; its own path tells how it goes."""

    deployment_id: DeploymentId
    message: str = "Deployment created and scheduler notified"


class BuildGoesOn(msgspec.Struct, kw_only=True):
    """A build that takes longer than the answer waits. It deploys what comes of it."""

    build_id: BuildId
    status: Literal["building"] = "building"
    message: str


class DeploymentWindow(msgspec.Struct, kw_only=True):
    deployments: list[Deployment]
    next_page_token: str | None


class Task(msgspec.Struct, kw_only=True):
    id: TaskId
    deployment_id: DeploymentId
    process: Annotated[str, Meta(description="web, a worker's name, or release")]
    node_id: str
    state: Literal["pending", "starting", "running", "stopping", "stopped", "failed"]
    published_port: int | None
    reason: str | None
    exit_code: int | None
    revision: int
    created_at: Moment
    started_at: Moment | None
    ready_at: Moment | None
    ended_at: Moment | None
    updated_at: Moment


class Registry(msgspec.Struct, kw_only=True):
    host: str
    username: str
    created_at: Moment
    updated_at: Moment


class LogEntry(msgspec.Struct, kw_only=True):
    timestamp: Moment
    message: str
    task_id: TaskId
    process: str


class Event(msgspec.Struct, kw_only=True):
    seq: int
    at: Moment
    kind: str
    app_id: AppId | None
    deployment_id: DeploymentId | None
    task_id: TaskId | None
    reason: str | None
    facts: dict[str, AnyJson]


class Events(msgspec.Struct, kw_only=True):
    events: list[Event]
    last_seq: int


class Check(msgspec.Struct, kw_only=True):
    """One thing that was looked at; `fix` is the command that mends or adds it."""

    name: str
    ok: bool
    detail: str
    fix: str | None


class Diagnosis(msgspec.Struct, kw_only=True):
    ok: bool
    checks: list[Check]


class Health(msgspec.Struct, kw_only=True):
    status: Literal["ok", "degraded"]
    problems: list[str]


class Limits(msgspec.Struct, kw_only=True):
    memory: str
    cpu: str
    containment: str


class Isolation(msgspec.Struct, kw_only=True):
    user: str
    shares_agent_user: bool


class Version(msgspec.Struct, kw_only=True):
    version: str
    api: Literal["v1"]
    node_id: str
    domain: str
    proxy_url: str
    limits: Limits
    isolation: Isolation
    warnings: list[str]
