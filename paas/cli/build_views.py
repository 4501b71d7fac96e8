"""What the command reads of the API's answers about builds."""

from datetime import datetime

from paas.cli.views import Record


class BuildSource(Record, frozen=True, kw_only=True):
    kind: str = "archive"
    path: str = ""
    url: str | None = None
    ref: str | None = None
    commit: str | None = None


class Build(Record, frozen=True, kw_only=True):
    id: str
    app_id: str
    state: str
    created_at: datetime
    reason: str | None = None
    source: BuildSource = BuildSource()
    environment: str | None = None
    deploy: bool = False
    recipe: str | None = None
    commands: tuple[str, ...] = ()
    start: str | None = None
    reused_build_id: str | None = None
    dockerfile: str | None = None
    target: str | None = None
    context_size: int | None = None
    artifact_id: str | None = None
    deployment_id: str | None = None
    image: str | None = None
    image_id: str | None = None
    image_size: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


class BuildPage(Record, frozen=True, kw_only=True):
    data: tuple[Build, ...]
    total: int
