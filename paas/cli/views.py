"""What the verbs read of the API's answers. Fields that they do not use are skipped."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

DEFAULT_NAMESPACE = "default"


def title(namespace: str, name: str) -> str:
    """Name an app as people do: without the namespace when that is the usual one."""
    return name if namespace == DEFAULT_NAMESPACE else f"{namespace}/{name}"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Phase(Record, frozen=True, kw_only=True):
    last_ms: float


class WakePhases(Record, frozen=True, kw_only=True):
    queue: Phase
    start: Phase
    ready: Phase
    first_byte: Phase


class Check(Record, frozen=True, kw_only=True):
    name: str
    ok: bool
    detail: str
    fix: str | None = None


class Diagnosis(Record, frozen=True, kw_only=True):
    ok: bool
    checks: list[Check]


class Wakes(Record, frozen=True, kw_only=True):
    count: int
    last_ms: float
    p50_ms: float
    p95_ms: float
    phases: WakePhases


class Process(Record, frozen=True, kw_only=True):
    name: str
    replicas: int
    sleeps: bool
    running: int


class Current(Record, frozen=True, kw_only=True):
    deployment_id: str
    version: int
    environment: str
    activity: str
    tasks_ready: int
    tasks_total: int
    processes: tuple[Process, ...] = ()
    in_flight: int = 0
    last_used_at: datetime | None = None
    wakes: Wakes | None = None
    urls: tuple[str, ...] = ()


class App(Record, frozen=True, kw_only=True):
    id: str
    name: str
    namespace: str
    url: str
    created_at: datetime
    current: Current | None = None

    @property
    def title(self) -> str:
        return title(self.namespace, self.name)


class AppPage(Record, frozen=True, kw_only=True):
    data: tuple[App, ...]
    total: int


class Idle(Record, frozen=True, kw_only=True):
    freeze_after_secs: float | None = None
    stop_after_secs: float | None = None


class Spec(Record, frozen=True, kw_only=True):
    replicas: int
    cold_start_enabled: bool = True
    idle_timeout_secs: float = 300
    idle: Idle = Idle()
    start_timeout_secs: float = 60
    stop_grace_secs: float = 10
    image: str | None = None
    artifact_id: str | None = None


class Environment(Record, frozen=True, kw_only=True):
    slug: str
    current_deployment_id: str | None = None
    current_version: int | None = None
    activity: str | None = None
    url: str | None = None


class EnvironmentPage(Record, frozen=True, kw_only=True):
    data: tuple[Environment, ...]
    total: int


class Released(Record, frozen=True, kw_only=True):
    deployment_id: str | None = None
    build_id: str | None = None  # of one that goes on, in its place


class Deployment(Record, frozen=True, kw_only=True):
    id: str
    sha: str
    version: int
    status: str
    state: str
    activity: str
    spec: Spec
    tasks_ready: int
    tasks_total: int
    processes: tuple[Process, ...] = ()
    environment_slug: str
    created_at: datetime
    reason: str | None = None
    urls: tuple[str, ...] = ()
    in_flight: int = 0
    waiting: int = 0
    last_used_at: datetime | None = None
    retry_at: datetime | None = None
    wakes: Wakes | None = None
    refused: Mapping[str, int] = {}
    build_id: str | None = None


class Traffic(Record, frozen=True, kw_only=True):
    requests: int
    answers: Mapping[str, int] = {}
    bytes_in: int = 0
    bytes_out: int = 0


class Usage(Record, frozen=True, kw_only=True):
    cpu_secs: float
    memory_bytes: int
    memory_peak_bytes: int
    oom_kills: int


class TaskMetrics(Record, frozen=True, kw_only=True):
    task_id: str
    usage: Usage | None = None


class DeploymentMetrics(Record, frozen=True, kw_only=True):
    tasks: tuple[TaskMetrics, ...]


class AppMetrics(Record, frozen=True, kw_only=True):
    app_id: str
    namespace: str
    name: str
    tasks: int
    in_flight: int
    waiting: int
    restarts: int
    traffic: Traffic
    usage: Usage
    wakes: Wakes | None = None

    @property
    def title(self) -> str:
        return title(self.namespace, self.name)


class AllMetrics(Record, frozen=True, kw_only=True):
    at: datetime
    apps: tuple[AppMetrics, ...]


class DeploymentPage(Record, frozen=True, kw_only=True):
    deployments: tuple[Deployment, ...]
    next_page_token: str | None = None


class Task(Record, frozen=True, kw_only=True):
    id: str
    process: str = "web"
    state: str
    published_port: int | None = None
    created_at: datetime
    started_at: datetime | None = None
    exit_code: int | None = None
    reason: str | None = None


class TaskPage(Record, frozen=True, kw_only=True):
    data: tuple[Task, ...]
    total: int


class Artifact(Record, frozen=True, kw_only=True):
    id: str
    name: str
    size: int | None = None


class Registry(Record, frozen=True, kw_only=True):
    host: str
    username: str
    updated_at: datetime


class RegistryPage(Record, frozen=True, kw_only=True):
    data: tuple[Registry, ...]
    total: int


class LogEntry(Record, frozen=True, kw_only=True):
    timestamp: datetime
    message: str
    task_id: str | None = None
    process: str = "web"


class Event(Record, frozen=True, kw_only=True):
    seq: int
    at: datetime
    kind: str
    app_id: str | None = None
    deployment_id: str | None = None
    task_id: str | None = None
    reason: str | None = None
    facts: Mapping[str, object] = {}


class EventPage(Record, frozen=True, kw_only=True):
    events: tuple[msgspec.Raw, ...]  # each an Event, printed as it is with --json
    last_seq: int


class Variable(Record, frozen=True, kw_only=True):
    name: str
    value: str | None
    secret: bool
    updated_at: datetime


class VariableList(Record, frozen=True, kw_only=True):
    variables: tuple[Variable, ...]
