"""What is known of deployments and tasks while the agent runs: demand, counts, measurements.

Times are seconds, sizes are bytes.
"""

from collections.abc import Mapping

from paas.core.ids import AppId, DeploymentId, TaskId
from paas.core.records import dataclass


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
