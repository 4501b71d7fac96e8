"""Volumes that one task at a time may write: who has one, who gives it away, who lost it for good.

A new version takes a volume over at rest: the old one ends first, and its requests wait meanwhile.
"""

from collections.abc import Sequence

from paas.core.model import Deployment, Rival
from paas.core.states import DeploymentState

AGAIN_SECS = 0.5  # nobody tells when a rival's task has let go of a volume


def holder(rivals: Sequence[Rival]) -> str | None:
    """Name the version that has a task which may write; None if there is none."""
    return next((_named(rival) for rival in rivals if rival.holds), None)


def foreign_holder(deployment: Deployment, rivals: Sequence[Rival]) -> str | None:
    """Name a holder that will not give way: one of another environment."""
    environment = deployment.environment
    return next((_named(rival) for rival in rivals if rival.holds and rival.environment != environment), None)


def is_wanted(deployment: Deployment, rivals: Sequence[Rival]) -> bool:
    """Say whether a new version waits for a volume of this one."""
    return any(
        rival.state is DeploymentState.STARTING
        and rival.version > deployment.version
        and rival.environment == deployment.environment
        for rival in rivals
    )


def is_lost(deployment: Deployment) -> bool:
    """Say whether the volume is another version's now: this one must never write it again."""
    return deployment.state is DeploymentState.SUPERSEDED and bool(deployment.spec.exclusive_paths)


def _named(rival: Rival) -> str:
    return f"version {rival.version} in {rival.environment}"
