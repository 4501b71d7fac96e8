"""What the native API takes: field by field with its limits. OpenAPI shows the same."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from paas.core.model import DEFAULT_NAMESPACE, DEVELOPMENT, PRODUCTION
from paas.specs.fields import END, Name, Slug, SpecFields

MOST_LABELS = 64
LONGEST_PASSWORD = 16_384  # some clouds want a whole key file

Description = Annotated[str, Meta(max_length=2000, description="at most 2000 characters")]
Labels = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=63)], Annotated[str, Meta(max_length=255)]],
    Meta(max_length=MOST_LABELS, description="at most 64 labels: text of 63 characters to text of 255"),
]


class CreateDeployment(SpecFields, forbid_unknown_fields=True, kw_only=True):
    """A new version. The app's default_deployment_spec supplies what is left out."""

    environment: Slug = DEVELOPMENT


class ChangeDeployment(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    spec: SpecFields


class CreateEnvironment(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    slug: Slug


class Promote(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    strategy: Annotated[
        Literal["instant", "rebuild"],
        Meta(
            description="instant: the same artifact or image; rebuild: a new build of the same source,"
            " for which the answer waits up to five minutes"
        ),
    ] = "instant"
    environment: Slug = PRODUCTION


class RollBack(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    environment: Annotated[Slug, Meta(description="null: the one that serves the app")] | None = None
    version: (
        Annotated[int, Meta(ge=1, le=2**53, description="null: what was current there before")] | None
    ) = None


class WakePolicyFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which kinds of request may wake the app and count as use."""

    well_known: bool = False
    health: bool = False
    crawlers: bool = False
    probes: bool = False


class CreateApp(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Name
    namespace: Name = DEFAULT_NAMESPACE
    description: Description | None = None
    labels: Labels | None = None
    default_deployment_spec: SpecFields | None = None
    wake_policy: WakePolicyFields | None = None


class UpdateApp(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is null or left out stays as it is; what is given replaces the whole field."""

    description: Description | None = None
    labels: Labels | None = None
    default_deployment_spec: SpecFields | None = None
    wake_policy: WakePolicyFields | None = None


class PutRegistry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    username: Annotated[
        str,
        Meta(
            pattern=r"^[^\x00-\x1f\x7f:]+" + END,
            min_length=1,
            max_length=255,
            description="1 to 255 characters without colons and control characters",
        ),
    ]
    password: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=LONGEST_PASSWORD,
            description="1 to 16384 characters: a password, a token, or a key file's text",
            extra_json_schema={"format": "password", "writeOnly": True},
        ),
    ]

    def __repr__(self) -> str:
        return f"PutRegistry(username={self.username!r})"  # what is shown may end up in a log


class CreateArtifact(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Annotated[
        str,
        Meta(
            pattern=r"^[^\x00-\x1f\x7f/\\]+" + END,
            min_length=1,
            max_length=255,
            description="a file name: 1 to 255 characters without slashes and control characters",
        ),
    ]
    content_type: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(; ?[\x20-\x7e]*)?" + END,
            max_length=255,
            description="a media type such as application/octet-stream",
        ),
    ] = "application/octet-stream"
