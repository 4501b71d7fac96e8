"""SQL about volumes that one task at a time may write."""

from paas.core.model import Deployment, Rival, Task
from paas.core.states import DeploymentState
from paas.store import rows
from paas.store.database import Reader

HOLDING = "('starting', 'running', 'stopping')"  # states of a task that may write


async def rivals(reader: Reader, deployment: Deployment) -> tuple[Rival, ...]:
    """Find the app's other deployments that hold or are about to want one of its exclusive volumes."""
    found = await reader.all(
        "SELECT version, environment, state, spec,"
        f" EXISTS (SELECT 1 FROM tasks t WHERE t.deployment_id = d.id AND t.state IN {HOLDING}) AS holds"
        " FROM deployments d WHERE app_id = ? AND id <> ? AND (holds OR state = 'starting')",
        (deployment.app_id, deployment.id),
    )
    return tuple(
        Rival(
            version=row["version"],
            environment=row["environment"],
            state=DeploymentState(row["state"]),
            holds=bool(row["holds"]),
        )
        for row in found
        if rows.spec(row["spec"]).exclusive_paths & deployment.spec.exclusive_paths
    )


async def is_held(reader: Reader, deployment: Deployment, task: Task) -> bool:
    """Say whether another task of the app may write one of the exclusive volumes that this one wants."""
    found = await reader.all(
        "SELECT DISTINCT d.spec FROM tasks t JOIN deployments d ON d.id = t.deployment_id"
        f" WHERE d.app_id = ? AND t.id <> ? AND t.state IN {HOLDING}",
        (deployment.app_id, task.id),
    )
    return any(rows.spec(row["spec"]).exclusive_paths & deployment.spec.exclusive_paths for row in found)
