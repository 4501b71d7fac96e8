"""What the native API takes and answers about builds. OpenAPI shows the same."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from paas.api.kit.lists import PageParams
from paas.api.native.answers import Moment
from paas.api.native.params import AppIdFilter, AppIdText
from paas.core.ids import AppId, ArtifactId, BuildId, DeploymentId
from paas.core.model import DEFAULT_NAMESPACE, DEVELOPMENT
from paas.core.sources import LONGEST_PATH, LONGEST_REF, LONGEST_URL
from paas.specs.fields import END, Slug, SpecFields

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
MOST_COMMANDS = 100

Folder = Annotated[
    str,
    Meta(
        max_length=LONGEST_PATH,
        description="a folder inside the source, such as services/api; empty: its root",
    ),
]
RecipeName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*" + END,
        max_length=64,
        description="the recipe to build by, such as python or dockerfile; else it is found",
    ),
]
Command = Annotated[
    str,
    Meta(
        pattern=r"^[^\x00\n\r]+" + END,
        min_length=1,
        max_length=4096,
        description="a shell command: one line of 1 to 4096 characters",
    ),
]
Start = Annotated[
    str,
    Meta(
        pattern=r"^[^\x00\n\r]+" + END,
        min_length=1,
        max_length=4096,
        description="the shell command that starts what was built, in the place of the recipe's",
    ),
]
Dockerfile = Annotated[
    str,
    Meta(min_length=1, max_length=1024, description="its path in the source, such as docker/Dockerfile"),
]
Target = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.-]+" + END,
        max_length=255,
        description="the stage of the Dockerfile to end with",
    ),
]
Environment = Annotated[Slug, Meta(description="whose variables the build sees, and where it is deployed")]
Deploys = Annotated[bool, Meta(description="deploy what was built once the build has succeeded")]
Replaces = Annotated[
    bool, Meta(description="end unfinished builds that are to be deployed into the same environment")
]
NoCache = Annotated[bool, Meta(description="take nothing from earlier builds")]


class NewBuild(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Of a build whose source is the body. With a JSON body all is said there, and nothing here."""

    app_id: AppIdText | None = None
    name: Annotated[str, Meta(description="the app's, in the place of app_id")] | None = None
    namespace: Annotated[str, Meta(description="the app's, beside name")] = DEFAULT_NAMESPACE
    environment: Environment = DEVELOPMENT
    deploy: Deploys = False
    replaces: Replaces = False
    path: Folder = ""
    recipe: RecipeName | None = None
    commands: Annotated[
        str,
        Meta(
            max_length=16_384,
            description='shell commands in the place of the recipe\'s, as a JSON list such as ["make"]',
        ),
    ] = "[]"
    start: Start | None = None
    dockerfile: Dockerfile | None = None
    target: Target | None = None
    build_args: Annotated[
        str, Meta(max_length=4096, description='a JSON object of text by name, such as {"VERSION":"1"}')
    ] = "{}"
    no_cache: NoCache = False


class GitFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A repository. Its token is the one of the app's source config."""

    url: Annotated[
        str,
        Meta(min_length=1, max_length=LONGEST_URL, description="such as https://github.com/owner/name"),
    ]
    ref: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=LONGEST_REF,
                description="a branch, a tag or a commit; null: the default branch",
            ),
        ]
        | None
    ) = None
    path: Folder = ""


class NewGitBuild(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A build whose source is fetched."""

    git: GitFields
    app_id: AppIdText | None = None
    name: Annotated[str, Meta(description="the app's, in the place of app_id")] | None = None
    namespace: Annotated[str, Meta(description="the app's, beside name")] = DEFAULT_NAMESPACE
    environment: Environment = DEVELOPMENT
    deploy: Deploys = False
    spec: (
        Annotated[SpecFields, Meta(description="of the deployment, without artifact_id, image and env")]
        | UnsetType
    ) = UNSET
    replaces: Replaces = False
    recipe: RecipeName | None = None
    commands: Annotated[
        list[Command],
        Meta(max_length=MOST_COMMANDS, description="shell commands in the place of the recipe's"),
    ] = []
    start: Start | None = None
    dockerfile: Dockerfile | None = None
    target: Target | None = None
    build_args: Annotated[dict[str, str], Meta(max_length=100, description="text by name")] = {}
    no_cache: NoCache = False


class BuildList(PageParams, forbid_unknown_fields=True, kw_only=True):
    app_id: AppIdFilter | None = None
    state: State | None = None


class Source(msgspec.Struct, kw_only=True):
    """What is built: an archive that was sent, or a commit of a repository."""

    kind: Literal["archive", "git"]
    path: str
    url: str | None
    ref: str | None
    commit: Annotated[str | None, Meta(description="its full id, once it is known")]
    sha256: str | None
    size: int | None


class Build(msgspec.Struct, kw_only=True):
    id: BuildId
    app_id: AppId
    state: State
    reason: str | None
    source: Source
    environment: str
    deploy: bool
    cause: Annotated[
        str | None, Meta(description="of its deployment: request, trigger, push, pull_request, promote")
    ]
    recipe: Annotated[str | None, Meta(description="as it was asked for, or found")]
    commands: list[str]
    start: str | None
    dockerfile: str | None
    target: str | None
    build_args: dict[str, str]
    no_cache: bool
    context_size: Annotated[int | None, Meta(description="as source.size")]
    context_sha256: Annotated[str | None, Meta(description="as source.sha256")]
    fingerprint: Annotated[
        str | None, Meta(description="the same for the same source, recipe, options and variables")
    ]
    reused_build_id: Annotated[BuildId | None, Meta(description="whose result it took, being of the same")]
    artifact_id: ArtifactId | None
    image: str | None
    image_id: str | None
    image_size: int | None
    deployment_id: DeploymentId | None
    created_at: Moment
    started_at: Moment | None
    ended_at: Moment | None
    updated_at: Moment


class BuildLogEntry(msgspec.Struct, kw_only=True):
    timestamp: Moment
    message: str
