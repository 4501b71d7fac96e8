"""Variables of apps: at which level one is set, and what a task gets of them all."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from paas.core.ids import AppId, DeploymentId
from paas.core.model import Sealed
from paas.core.records import dataclass


class Level(StrEnum):
    """Where a variable is set. What comes later in this list wins."""

    DEFAULT = "default"  # the env of an app's default_deployment_spec
    APP = "app"
    ENVIRONMENT = "environment"
    DEPLOYMENT = "deployment"


_RANK = {level.value: rank for rank, level in enumerate(Level)}


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableOwner:
    """Whose variables: an app's, those of one of its environments, or a deployment's own."""

    level: Level
    app_id: AppId
    environment: str | None = None
    deployment_id: DeploymentId | None = None

    @property
    def key(self) -> str:
        """Name it in one word: what its boxes are bound to."""
        match self.level:
            case Level.ENVIRONMENT:
                return f"environment:{self.app_id}:{self.environment}"
            case Level.DEPLOYMENT:
                return f"deployment:{self.deployment_id}"
            case _:
                return f"{self.level}:{self.app_id}"


def of_app(app_id: AppId) -> VariableOwner:
    return VariableOwner(level=Level.APP, app_id=app_id)


def of_defaults(app_id: AppId) -> VariableOwner:
    return VariableOwner(level=Level.DEFAULT, app_id=app_id)


def of_environment(app_id: AppId, environment: str) -> VariableOwner:
    return VariableOwner(level=Level.ENVIRONMENT, app_id=app_id, environment=environment)


def of_deployment(app_id: AppId, deployment_id: DeploymentId) -> VariableOwner:
    return VariableOwner(level=Level.DEPLOYMENT, app_id=app_id, deployment_id=deployment_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxed:
    """A variable as it is stored. Without a box it takes away what a lower level sets."""

    owner: str  # a VariableOwner.key
    name: str
    is_secret: bool
    sealed: Sealed | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable as it is listed: without its value."""

    boxed: Boxed
    created_at: float
    updated_at: float


def by_weight(boxes: Iterable[Boxed]) -> list[Boxed]:
    """Sort so that what wins comes last."""
    return sorted(boxes, key=_weight)


def _weight(box: Boxed) -> tuple[int, str]:
    return _RANK[box.owner.partition(":")[0]], box.name


def laid_over(below: Mapping[str, str], above: Mapping[str, str | None]) -> dict[str, str]:
    """Merge two levels; null takes away."""
    laid = {**below, **above}
    return {name: value for name, value in laid.items() if value is not None}
