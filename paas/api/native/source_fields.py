"""What the native API takes and answers about where sources are. OpenAPI shows the same."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from paas.api.native.answers import Moment
from paas.api.native.params import NewDeployment
from paas.core.ids import AppId, DeploymentId
from paas.core.model import DEVELOPMENT
from paas.core.source_config import DEFAULT_BRANCH
from paas.core.sources import LONGEST_PATH, LONGEST_REF, LONGEST_URL
from paas.specs.fields import END, Slug

Branch = Annotated[
    str,
    Meta(
        pattern=r"^(?![-/])[^\x00-\x20\x7f~^:?*\[\\]+" + END,
        min_length=1,
        max_length=LONGEST_REF,
        description="a branch: 1 to 255 characters without spaces and ~^:?*[\\",
    ),
]
Folder = Annotated[
    str,
    Meta(
        pattern=r"^(?!/)[^\x00]*" + END,
        max_length=LONGEST_PATH,
        description="a folder in the repository, such as services/api; empty: its root",
    ),
]
Hidden = Annotated[
    str,
    Meta(
        pattern=r"^[\x21-\x7e]+" + END,
        min_length=1,
        max_length=1024,
        description="1 to 1024 visible ASCII characters; never shown again; null takes it away",
        extra_json_schema={"format": "password", "writeOnly": True},
    ),
]


class PutSource(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Where an app's source is. What is left out has its default, but for the secrets, which stay."""

    type: Annotated[
        Literal["github", "gitlab"], Meta(description="github; gitlab is not served by this version")
    ] = "github"
    repository_url: Annotated[
        str,
        Meta(min_length=1, max_length=LONGEST_URL, description="such as https://github.com/owner/name"),
    ]
    branch: Branch = DEFAULT_BRANCH
    path: Folder = ""
    token: Hidden | UnsetType | None = UNSET
    webhook_secret: Hidden | UnsetType | None = UNSET
    auto_deploy: Annotated[bool, Meta(description="whether a push to the branch is deployed")] = True
    previews: Annotated[bool, Meta(description="whether a pull request gets an environment")] = False
    environment: Annotated[Slug, Meta(description="that pushes are deployed to")] = DEVELOPMENT

    def __repr__(self) -> str:
        return f"PutSource(repository_url={self.repository_url!r})"  # what is shown may end up in a log


class SourceConfig(msgspec.Struct, kw_only=True):
    app_id: AppId
    type: Literal["github"]
    repository_url: str
    branch: str
    path: str
    has_token: bool
    has_webhook_secret: bool
    auto_deploy: bool
    previews: bool
    environment: str
    created_at: Moment
    updated_at: Moment


class TriggerHeaders(NewDeployment, forbid_unknown_fields=True, kw_only=True):
    prefer: (
        Annotated[str, Meta(max_length=255, description="respond-async: answer before anything is built")]
        | None
    ) = msgspec.field(default=None, name="Prefer")


class Trigger(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    branch: Branch | None = None
    ref: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=LONGEST_REF,
                description="the id of a commit; null: the branch's last",
            ),
        ]
        | None
    ) = None
    skip_build: Annotated[
        bool, Meta(description="deploy what the newest successful build came to, and build nothing")
    ] = False
    environment: Slug = DEVELOPMENT


class Triggered(msgspec.Struct, kw_only=True):
    deployment_id: DeploymentId
    status: Literal["pending"] = "pending"
    message: str = "Deployment created and scheduler notified"
