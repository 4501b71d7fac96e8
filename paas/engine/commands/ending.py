"""End deployments and builds together with what they belong to."""

from collections.abc import Iterable

from paas.core.builds import Build
from paas.core.model import Deployment
from paas.core.states import SERVING_DEPLOYMENT, UNSETTLED_DEPLOYMENT, BuildState, DeploymentState
from paas.store import transitions
from paas.store.database import Tx


async def end_deployments(tx: Tx, deployments: Iterable[Deployment], *, now: float, reason: str) -> None:
    """End those that have not ended: one that serves is stopped, one under way is cancelled."""
    for deployment in deployments:
        if deployment.state in SERVING_DEPLOYMENT:
            ended = DeploymentState.STOPPED
        elif deployment.state in UNSETTLED_DEPLOYMENT:
            ended = DeploymentState.CANCELLED
        else:
            continue
        await transitions.move_deployment(tx, deployment, ended, now=now, reason=reason)


async def cancel_builds(tx: Tx, builds: Iterable[Build], *, now: float, reason: str) -> None:
    """Cancel builds that have not ended."""
    for build in builds:
        await transitions.move_build(tx, build, BuildState.CANCELLED, now=now, reason=reason, ended_at=now)
