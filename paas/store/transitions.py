"""move(): the only statement that changes a state, with the event that says so."""

from collections.abc import Mapping
from typing import TypedDict, Unpack

from paas.core.builds import Build
from paas.core.errors import IllegalMove, Stale
from paas.core.ids import AppId, ArtifactId, BuildId, DeploymentId
from paas.core.model import Deployment, Task
from paas.core.records import replace
from paas.core.states import (
    BUILD_MOVES,
    DEPLOYMENT_MOVES,
    TASK_MOVES,
    BuildState,
    DeploymentState,
    TaskState,
)
from paas.store import feed
from paas.store.database import Tx, Value
from paas.store.rows import to_json
from paas.store.tasks import told_of


class TaskFacts(TypedDict, total=False):
    """What is learned of a task in the moment of its move."""

    port: int | None
    exit_code: int | None
    crashed: bool
    started_at: float
    ready_at: float
    ended_at: float


class DeploymentFacts(TypedDict, total=False):
    """What is learned of a deployment in the moment of its move."""

    command: tuple[str, ...]
    image: str | None
    exposed_port: int | None
    processes: Mapping[str, tuple[str, ...]]
    release: tuple[str, ...] | None
    slept_at: float


class BuildFacts(TypedDict, total=False):
    """What is learned of a build in the moment of its move."""

    artifact_id: ArtifactId | None
    image: str | None
    image_id: str | None
    image_bytes: int | None
    reused_build_id: BuildId | None
    deployment_id: DeploymentId | None
    started_at: float
    ended_at: float


async def move_task(
    tx: Tx, task: Task, to: TaskState, *, now: float, reason: str | None = None, **facts: Unpack[TaskFacts]
) -> Task:
    """Move a task to a new state and add the event that says so.

    Raises IllegalMove if the table forbids it, and Stale if the row is no longer in
    `task.state`: someone else moved it, read again.
    """
    if to not in TASK_MOVES[task.state]:
        raise IllegalMove(f"cannot move task {task.id} from {task.state} to {to}")
    columns: dict[str, Value] = {key: _value(value) for key, value in facts.items()}
    columns |= {"state": to, "reason": reason, "updated_at": now}
    await _compare_and_set(tx, "tasks", task.id, task.state, columns)
    await feed.append(
        tx,
        f"task.{to}",
        at=now,
        app_id=await _app_of(tx, task),
        deployment_id=task.deployment_id,
        task_id=task.id,
        reason=reason,
        facts={**told_of(task.process), **facts},
    )
    return replace(task, state=to, reason=reason, updated_at=now, **facts)


async def move_deployment(
    tx: Tx,
    deployment: Deployment,
    to: DeploymentState,
    *,
    now: float,
    reason: str | None = None,
    **facts: Unpack[DeploymentFacts],
) -> Deployment:
    """Move a deployment likewise; see `move_task`."""
    if to not in DEPLOYMENT_MOVES[deployment.state]:
        raise IllegalMove(f"cannot move deployment {deployment.id} from {deployment.state} to {to}")
    columns: dict[str, Value] = {key: _value(value) for key, value in facts.items()}
    columns |= {"state": to, "reason": reason, "updated_at": now}
    await _compare_and_set(tx, "deployments", deployment.id, deployment.state, columns)
    await feed.append(
        tx,
        f"deployment.{to}",
        at=now,
        app_id=deployment.app_id,
        deployment_id=deployment.id,
        reason=reason,
        facts={"version": deployment.version, "environment": deployment.environment},
    )
    return replace(deployment, state=to, reason=reason, updated_at=now, **facts)


async def move_build(
    tx: Tx,
    build: Build,
    to: BuildState,
    *,
    now: float,
    reason: str | None = None,
    **facts: Unpack[BuildFacts],
) -> Build:
    """Move a build likewise; see `move_task`."""
    if to not in BUILD_MOVES[build.state]:
        raise IllegalMove(f"cannot move build {build.id} from {build.state} to {to}")
    columns: dict[str, Value] = {key: _value(value) for key, value in facts.items()}
    columns |= {"state": to, "reason": reason, "updated_at": now}
    await _compare_and_set(tx, "builds", build.id, build.state, columns)
    await feed.append(
        tx,
        f"build.{to}",
        at=now,
        app_id=build.app_id,
        deployment_id=facts.get("deployment_id"),
        reason=reason,
        facts={"build_id": build.id, **facts},
    )
    return replace(build, state=to, reason=reason, updated_at=now, **facts)


async def _compare_and_set(tx: Tx, table: str, record_id: str, old: str, columns: dict[str, Value]) -> None:
    assignments = ", ".join(f"{name} = ?" for name in columns)
    changed = await tx.write(
        f"UPDATE {table} SET {assignments} WHERE id = ? AND state = ?",
        (*columns.values(), record_id, old),
    )
    if not changed:
        raise Stale(f"cannot move {record_id} in {table}: it is no longer {old}")


async def _app_of(tx: Tx, task: Task) -> AppId | None:
    row = await tx.one("SELECT app_id FROM deployments WHERE id = ?", (task.deployment_id,))
    return row["app_id"] if row is not None else None


def _value(value: object) -> Value:
    if isinstance(value, bool):
        return int(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return to_json(value)
