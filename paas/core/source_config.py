"""Where the source of an app is, and what of it is deployed by itself."""

from dataclasses import dataclass

from paas.core.ids import AppId

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
