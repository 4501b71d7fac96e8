"""Where the source of an app is, what of it is deployed by itself, and what came of that."""

from typing import Literal

from paas.core.ids import AppId, BuildId
from paas.core.records import dataclass

DEFAULT_BRANCH = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """One app's. Its token and webhook secret are kept apart, sealed."""

    app_id: AppId
    repository_url: str
    branch: str
    path: str  # the folder in it that is built; "": its root
    auto_deploy: bool  # a push to the branch is deployed
    previews: bool  # a pull request gets an environment of its own
    environment: str  # that pushes are deployed to
    has_token: bool
    has_webhook_secret: bool
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Of what a build is that a source config asked for; `key` recognises a repeated request."""

    branch: str
    pull_request: int | None = None
    key: str | None = None
    request_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a delivery for one app."""

    app_id: AppId
    action: Literal["build", "delete_environment", "none"]
    reason: str  # for people
    environment: str | None = None
    build_id: BuildId | None = None
