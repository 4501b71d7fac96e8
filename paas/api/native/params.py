"""What the native API takes in paths, queries and headers. A capital marks a header."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from paas.api.kit.lists import PageParams, PageSize, SortOrder
from paas.api.kit.routes import UUID
from paas.core.ids import AppId, ArtifactId, BuildId, DeploymentId, TaskId
from paas.core.spec import PROCESS_NAME
from paas.specs.fields import END

_UUID = Meta(extra_json_schema={"format": "uuid"})
MOST_LINES = 10_000
MOST_EVENTS = 1000

AppIdText = Annotated[AppId, _UUID]
TaskIdText = Annotated[TaskId, _UUID]
DeploymentIdText = Annotated[DeploymentId, _UUID]

# Of a path, what is no id is not found; of a filter, it must not pass for an id that nothing has.
_ID = Meta(pattern=rf"^{UUID}$(?!\n)", description="an id", extra_json_schema={"format": "uuid"})
AppIdFilter = Annotated[AppId, _ID]
DeploymentIdFilter = Annotated[DeploymentId, _ID]


class AppPath(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    app_id: AppIdText


class AppNamePath(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    namespace: str
    name: str


class EnvironmentPath(AppPath, forbid_unknown_fields=True, kw_only=True):
    slug: str


class EnvironmentList(PageParams, forbid_unknown_fields=True, kw_only=True):
    app_id: AppIdText


class SubdomainPath(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    subdomain: str


class ArtifactPath(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    artifact_id: Annotated[ArtifactId, _UUID]


class BuildPath(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    build_id: Annotated[BuildId, _UUID]


class DeploymentPath(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    deployment_id: DeploymentIdText


class TaskPath(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    task_id: TaskIdText


class RegistryPath(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    host: Annotated[str, Meta(description="such as ghcr.io or registry.example:5000; docker.io: Docker Hub")]


class AppList(PageParams, forbid_unknown_fields=True, kw_only=True):
    namespace: str | None = None
    sort_by: Literal["name", "namespace", "subdomain", "created_at", "updated_at"] = "created_at"
    sort_order: SortOrder = "desc"


class DeploymentList(PageParams, forbid_unknown_fields=True, kw_only=True):
    app_id: AppIdFilter | None = None
    sort_by: Literal["version", "environment", "created_at", "updated_at"] = "created_at"
    sort_order: SortOrder = "desc"


class DeploymentsOfApp(AppPath, forbid_unknown_fields=True, kw_only=True):
    page_size: PageSize = 20
    page_token: Annotated[
        str, Meta(pattern=r"^[0-9]{0,15}$(?!\n)", description="next_page_token of the page before")
    ] = ""


class DeploymentTasks(PageParams, forbid_unknown_fields=True, kw_only=True):
    deployment_id: DeploymentIdText


class NewDeployment(AppPath, forbid_unknown_fields=True, kw_only=True):
    idempotency_key: (
        Annotated[
            str,
            Meta(
                pattern=r"^[\x21-\x7e]+$(?!\n)",
                max_length=255,
                description="1 to 255 visible ASCII characters; the same key and body add nothing",
            ),
        ]
        | None
    ) = msgspec.field(default=None, name="Idempotency-Key")


class LogWindow(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    tail: Annotated[int, Meta(ge=0, le=MOST_LINES, description="the last lines, 0 to 10000")] = 1000
    since: Annotated[str, Meta(description="RFC 3339, or how long ago such as 5m")] | None = None


Process = Annotated[
    str, Meta(pattern=PROCESS_NAME + END, description="only tasks of this process, such as web or release")
]


class DeploymentLogs(LogWindow, forbid_unknown_fields=True, kw_only=True):
    deployment_id: DeploymentIdText
    process: Process | None = None


class TaskLogs(LogWindow, forbid_unknown_fields=True, kw_only=True):
    task_id: TaskIdText


class LogStream(DeploymentPath, forbid_unknown_fields=True, kw_only=True):
    tail: Annotated[int, Meta(ge=0, le=MOST_LINES, description="lines of before, 0 to 10000")] = 100
    process: Process | None = None
    last_event_id: Annotated[str, Meta(description="as the header Last-Event-ID")] | None = None
    header_last_event_id: (
        Annotated[str, Meta(description="the id of the last frame that came; the stream goes on after it")]
        | None
    ) = msgspec.field(default=None, name="Last-Event-ID")


Sequence = Annotated[int, Meta(ge=0, le=2**53, description="a sequence number")]


class BuildLogs(BuildPath, forbid_unknown_fields=True, kw_only=True):
    tail: Annotated[int, Meta(ge=0, le=MOST_LINES, description="the last lines, 0 to 10000")] = MOST_LINES
    after: Annotated[int, Meta(ge=0, le=2**53, description="the id of a frame; lines after it")] | None = None


class BuildLogStream(BuildPath, forbid_unknown_fields=True, kw_only=True):
    tail: Annotated[int, Meta(ge=0, le=MOST_LINES, description="lines of before, 0 to 10000")] = MOST_LINES
    last_event_id: Sequence | None = None
    header_last_event_id: Sequence | None = msgspec.field(default=None, name="Last-Event-ID")


class EventList(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    after: Sequence | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_EVENTS, description="1 to 1000 events")] = 100
    app_id: AppIdFilter | None = None
    deployment_id: DeploymentIdFilter | None = None
    last_event_id: Sequence | None = msgspec.field(default=None, name="Last-Event-ID")
