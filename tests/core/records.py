"""Records with every field filled, for tests of pure code."""

from paas.core.ids import AppId, DeploymentId, TaskId
from paas.core.live import Demand
from paas.core.model import Deployment, Instance, Task
from paas.core.records import replace
from paas.core.snapshot import Snapshot
from paas.core.spec import WEB, Spec
from paas.core.states import DeploymentState, TaskState

DEPLOYMENT = Deployment(
    id=DeploymentId("d"),
    app_id=AppId("a"),
    sha="01234567",
    version=1,
    environment="development",
    state=DeploymentState.ACTIVE,
    reason=None,
    spec=Spec(),
    revision=1,
    command=("run",),
    image=None,
    exposed_port=None,
    slept_at=0.0,
    woken_at=0.0,
    created_at=0.0,
    updated_at=0.0,
)
TASK = Task(
    id=TaskId("t1"),
    deployment_id=DEPLOYMENT.id,
    revision=1,
    state=TaskState.RUNNING,
    reason=None,
    port=20000,
    exit_code=None,
    crashed=False,
    stop_requested=False,
    created_at=1.0,
    started_at=1.0,
    ready_at=1.0,
    ended_at=None,
    updated_at=1.0,
)
NO_DEMAND = Demand(waiting=0, in_flight=0, last_used=0.0)
SNAPSHOT = Snapshot(
    deployment=DEPLOYMENT,
    has_artifact=True,
    is_current=True,
    newer_is_current=False,
    live=(),
    ended=(),
    seen={},
    published={},
    demand=NO_DEMAND,
    in_hand=frozenset(),
    opened_at=0.0,
    can_freeze=True,
)


def task(name: str, state: TaskState = TaskState.RUNNING, **changes: object) -> Task:
    return replace(TASK, id=TaskId(name), state=state, **changes)  # type: ignore[arg-type]  # tests name fields


def up(*tasks: Task) -> dict[TaskId, Instance]:
    return {item.id: Instance(task_id=item.id, status="up") for item in tasks}


def serving(
    *tasks: Task, last_used: float = 0.0, in_flight: int = 0, waiting: int = 0, spec: Spec | None = None
) -> Snapshot:
    """An active deployment whose tasks are all up, those of web published."""
    running = [item for item in tasks if item.state is TaskState.RUNNING]
    return replace(
        SNAPSHOT,
        deployment=replace(DEPLOYMENT, spec=spec or Spec()),
        live=tasks,
        seen=up(*running),
        published={item.id: in_flight for item in running if item.process == WEB},
        demand=Demand(waiting=waiting, in_flight=in_flight, last_used=last_used),
    )
