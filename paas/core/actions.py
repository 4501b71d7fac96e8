"""What plan() can ask the executor to do: one record an action."""

from paas.core.ids import DeploymentId
from paas.core.model import Task
from paas.core.records import dataclass
from paas.core.spec import WEB
from paas.core.states import DeploymentState


@dataclass(frozen=True, slots=True)
class Build:
    """Make the artifact ready to run, then start."""


@dataclass(frozen=True, slots=True)
class CreateTasks:
    count: int
    process: str = WEB


@dataclass(frozen=True, slots=True)
class StartTask:
    """Start it, wait until it is ready, let it take traffic if it is of web."""

    task: Task


@dataclass(frozen=True, slots=True)
class PublishTask:
    """Let a task that runs already take traffic again."""

    task: Task


@dataclass(frozen=True, slots=True)
class FreezeTask:
    """Take it out of traffic, if no request is open, and let it run no more; its memory stays."""

    task: Task


@dataclass(frozen=True, slots=True)
class ThawTask:
    """Let a frozen task run, and take traffic again if it is of web."""

    task: Task


@dataclass(frozen=True, slots=True)
class Evict:
    """Let another deployment, which is idle, give its memory back."""

    deployment_id: DeploymentId


@dataclass(frozen=True, slots=True)
class StopTask:
    """Take it out of traffic, let open requests end if it drains, end it."""

    task: Task
    reason: str
    only_if_idle: bool = False
    drains: bool = True


@dataclass(frozen=True, slots=True)
class RecordEnd:
    """It ended by itself."""

    task: Task
    exit_code: int | None
    oom_killed: bool = False


@dataclass(frozen=True, slots=True)
class AbortStart:
    """Give up a start in hand; nothing if what is in hand is something else."""

    task: Task


@dataclass(frozen=True, slots=True)
class Activate:
    """Make it current in its environment."""


@dataclass(frozen=True, slots=True)
class EndDeployment:
    to: DeploymentState
    reason: str


Action = (
    Build
    | CreateTasks
    | StartTask
    | PublishTask
    | FreezeTask
    | ThawTask
    | Evict
    | StopTask
    | RecordEnd
    | AbortStart
    | Activate
    | EndDeployment
)
