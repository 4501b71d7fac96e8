"""What the native API answers about counts and measurements. Counts begin anew with the agent.

Sizes are bytes. A task's own counts end with it; what it did stays in those of its deployment and app.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from paas.api.native.answers import Moment, Wakes
from paas.core.ids import AppId, DeploymentId, TaskId


class Traffic(msgspec.Struct, kw_only=True):
    """What came and went between clients and the proxy."""

    requests: int
    answers: Annotated[
        dict[str, int],
        Meta(description='by class, "2xx"; "1xx": upgrades, "tcp": connections, "none": clients that left'),
    ]
    bytes_in: Annotated[int, Meta(description="from clients, heads included, as on the wire")]
    bytes_out: Annotated[int, Meta(description="to clients, likewise")]


class Usage(msgspec.Struct, kw_only=True):
    """What processes use."""

    cpu_secs: float
    memory_bytes: Annotated[int, Meta(description="now, without file pages that the kernel can drop")]
    memory_peak_bytes: int
    oom_kills: Annotated[int, Meta(description="processes killed for the memory limit")]


class TaskMetrics(msgspec.Struct, kw_only=True):
    """One task; traffic and usage are null once it has ended, or while they cannot be told."""

    task_id: TaskId
    deployment_id: DeploymentId
    process: str
    state: Literal["pending", "starting", "running", "stopping", "stopped", "failed"]
    in_flight: int
    traffic: Traffic | None
    usage: Usage | None


class DeploymentMetrics(msgspec.Struct, kw_only=True):
    """One deployment; peak and kills are of the tasks that it has now."""

    deployment_id: DeploymentId
    app_id: AppId
    version: int
    environment: str
    in_flight: int
    waiting: int
    restarts: Annotated[int, Meta(description="tasks that ended by themselves, of those still listed")]
    traffic: Traffic
    usage: Usage
    wakes: Wakes | None
    tasks: list[TaskMetrics]


class AppMetrics(msgspec.Struct, kw_only=True):
    """One app with all its versions. Restarts, kills and the peak of one task are those of all time."""

    app_id: AppId
    namespace: str
    name: str
    tasks: Annotated[int, Meta(description="started and not ended, frozen ones included")]
    in_flight: int
    waiting: int
    restarts: int
    traffic: Traffic
    usage: Usage
    wakes: Annotated[Wakes | None, Meta(description="of the version that was used last")]


class AllMetrics(msgspec.Struct, kw_only=True):
    at: Moment
    apps: list[AppMetrics]
