"""The states of builds, deployments and tasks, and the legal moves between them.

No table has a back edge: what has ended is followed by another record, never restarted.
"""

from collections.abc import Mapping
from enum import StrEnum


class BuildState(StrEnum):
    QUEUED = "queued"  # its turn has not come
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DeploymentState(StrEnum):
    QUEUED = "queued"  # waits for an artifact
    BUILDING = "building"  # its artifact is made ready to run
    STARTING = "starting"  # its first tasks start; takes over when they are ready
    ACTIVE = "active"  # current in its environment; asleep or awake
    SUPERSEDED = "superseded"  # a newer one is current; may still wake through its preview host
    STOPPED = "stopped"  # ended by hand or by retention; never wakes
    FAILED = "failed"
    CANCELLED = "cancelled"


class TaskState(StrEnum):
    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


BUILD_MOVES: Mapping[BuildState, frozenset[BuildState]] = {
    BuildState.QUEUED: frozenset({BuildState.RUNNING, BuildState.CANCELLED}),
    BuildState.RUNNING: frozenset({BuildState.SUCCEEDED, BuildState.FAILED, BuildState.CANCELLED}),
    BuildState.SUCCEEDED: frozenset(),
    BuildState.FAILED: frozenset(),
    BuildState.CANCELLED: frozenset(),
}

DEPLOYMENT_MOVES: Mapping[DeploymentState, frozenset[DeploymentState]] = {
    DeploymentState.QUEUED: frozenset(
        {DeploymentState.BUILDING, DeploymentState.FAILED, DeploymentState.CANCELLED}
    ),
    DeploymentState.BUILDING: frozenset(
        {DeploymentState.STARTING, DeploymentState.FAILED, DeploymentState.CANCELLED}
    ),
    DeploymentState.STARTING: frozenset(
        {DeploymentState.ACTIVE, DeploymentState.FAILED, DeploymentState.CANCELLED}
    ),
    DeploymentState.ACTIVE: frozenset({DeploymentState.SUPERSEDED, DeploymentState.STOPPED}),
    DeploymentState.SUPERSEDED: frozenset({DeploymentState.STOPPED}),
    DeploymentState.STOPPED: frozenset(),
    DeploymentState.FAILED: frozenset(),
    DeploymentState.CANCELLED: frozenset(),
}

TASK_MOVES: Mapping[TaskState, frozenset[TaskState]] = {
    TaskState.PENDING: frozenset({TaskState.STARTING, TaskState.STOPPED}),
    TaskState.STARTING: frozenset({TaskState.RUNNING, TaskState.STOPPING, TaskState.FAILED}),
    TaskState.RUNNING: frozenset({TaskState.STOPPING, TaskState.STOPPED, TaskState.FAILED}),
    TaskState.STOPPING: frozenset({TaskState.STOPPED}),
    TaskState.STOPPED: frozenset(),
    TaskState.FAILED: frozenset(),
}

UNFINISHED_BUILD = frozenset({BuildState.QUEUED, BuildState.RUNNING})
UNSETTLED_DEPLOYMENT = frozenset({DeploymentState.QUEUED, DeploymentState.BUILDING, DeploymentState.STARTING})
SERVING_DEPLOYMENT = frozenset({DeploymentState.ACTIVE, DeploymentState.SUPERSEDED})
LIVE_DEPLOYMENT = UNSETTLED_DEPLOYMENT | SERVING_DEPLOYMENT
LIVE_TASK = frozenset({TaskState.PENDING, TaskState.STARTING, TaskState.RUNNING, TaskState.STOPPING})
