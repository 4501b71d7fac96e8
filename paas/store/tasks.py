"""SQL about tasks."""

from paas.core.ids import AppId, DeploymentId, TaskId
from paas.core.model import Deployment, Task
from paas.core.records import dataclass
from paas.core.spec import WEB
from paas.core.states import LIVE_TASK, TaskState
from paas.store import feed, rows
from paas.store.database import Reader, Tx

LIVE = "(" + ", ".join(f"'{state}'" for state in sorted(LIVE_TASK)) + ")"
STARTED = "(" + ", ".join(f"'{state}'" for state in sorted(LIVE_TASK - {TaskState.PENDING})) + ")"
ENDED_SHOWN = 10  # enough for plan() to see a crash loop
# Of the deployment ?1, what plan() looks at: every live task, and the last few that ended of each process.
LIVE_AND_LATEST_ENDED = (
    f"SELECT {rows.TASK_COLUMNS} FROM tasks WHERE deployment_id = ?1 AND state IN {LIVE}"
    f" UNION ALL SELECT * FROM (SELECT {rows.TASK_COLUMNS} FROM tasks WHERE deployment_id = ?1"
    f" AND ended_at IS NOT NULL AND process = '{WEB}' ORDER BY ended_at DESC LIMIT {ENDED_SHOWN})"
    f" UNION ALL SELECT {rows.TASK_COLUMNS} FROM (SELECT *, row_number() OVER"
    " (PARTITION BY process ORDER BY ended_at DESC) AS place FROM tasks WHERE deployment_id = ?1"
    f" AND ended_at IS NOT NULL AND process <> '{WEB}') WHERE place <= {ENDED_SHOWN}"
)


async def insert(tx: Tx, deployment: Deployment, task_id: TaskId, *, now: float, process: str = WEB) -> None:
    """Make a pending task: its name exists before anything is started."""
    await tx.write(
        "INSERT INTO tasks (id, deployment_id, process, revision, state, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (task_id, deployment.id, process, deployment.revision, TaskState.PENDING, now, now),
    )
    await feed.append(
        tx,
        "task.pending",
        at=now,
        app_id=deployment.app_id,
        deployment_id=deployment.id,
        task_id=task_id,
        facts=told_of(process),
    )


def told_of(process: str) -> dict[str, object]:
    """Say in an event of a task which process it is of, where that is not the usual one."""
    return {} if process == WEB else {"process": process}


async def get(reader: Reader, task_id: TaskId) -> Task | None:
    row = await reader.one(f"SELECT {rows.TASK_COLUMNS} FROM tasks WHERE id = ?", (task_id,))
    return None if row is None else rows.task(row)


async def of_deployment(reader: Reader, deployment_id: DeploymentId) -> list[Task]:
    """List all tasks a deployment ever had and retention kept, newest first."""
    found = await reader.all(
        f"SELECT {rows.TASK_COLUMNS} FROM tasks WHERE deployment_id = ? ORDER BY created_at DESC, id",
        (deployment_id,),
    )
    return [rows.task(row) for row in found]


async def page(reader: Reader, *, limit: int, offset: int) -> tuple[list[Task], int]:
    """List all tasks, newest first, with their total number."""
    found = await reader.all(
        f"SELECT {rows.TASK_COLUMNS} FROM tasks ORDER BY created_at DESC, id LIMIT ? OFFSET ?",
        (limit, offset),
    )
    return [rows.task(row) for row in found], int(await reader.value("SELECT count(*) FROM tasks") or 0)


async def live_ids(reader: Reader) -> set[TaskId]:
    return {row["id"] for row in await reader.all(f"SELECT id FROM tasks WHERE state IN {LIVE}")}


async def request_stop(tx: Tx, task: Task, *, now: float) -> None:
    """Note that somebody wants this one task to end; the next pass does it."""
    await tx.write("UPDATE tasks SET stop_requested = 1, updated_at = ? WHERE id = ?", (now, task.id))
    await feed.append(
        tx,
        "task.stop_requested",
        at=now,
        deployment_id=task.deployment_id,
        task_id=task.id,
        facts=told_of(task.process),
    )


async def delete_ended(tx: Tx, *, keep_per_deployment: int) -> list[TaskId]:
    """Delete the oldest ended tasks beyond a number per deployment, and name them."""
    found = await tx.all(
        "DELETE FROM tasks WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER"
        " (PARTITION BY deployment_id ORDER BY ended_at DESC) AS place FROM tasks"
        " WHERE ended_at IS NOT NULL) WHERE place > ?) RETURNING id",
        (keep_per_deployment,),
    )
    return [row["id"] for row in found]


async def ids_known(reader: Reader) -> set[TaskId]:
    return {row["id"] for row in await reader.all("SELECT id FROM tasks")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    task_id: TaskId
    deployment_id: DeploymentId
    app_id: AppId


async def started(reader: Reader, app_id: AppId | None) -> list[Started]:
    """Name the tasks of an app, or of all, that were started and have not ended, frozen ones included."""
    found = await reader.all(
        "SELECT t.id, t.deployment_id, d.app_id FROM tasks t JOIN deployments d ON d.id = t.deployment_id"
        f" WHERE t.state IN {STARTED} AND d.app_id = ifnull(?, d.app_id)",
        (app_id,),
    )
    return [
        Started(task_id=row["id"], deployment_id=row["deployment_id"], app_id=row["app_id"]) for row in found
    ]
