"""What paas.toml may say, key by key: a deployment's fields as the API has them, and what is beside them."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from paas.specs.fields import END, Name, Slug, SpecFields

PRINTABLE = r"^[^\x00-\x1f\x7f]+" + END
Command = Annotated[str, Meta(min_length=1, max_length=4096, description="a line of shell")]
Folder = Annotated[str, Meta(min_length=1, max_length=1024, pattern=PRINTABLE, description="a path")]
Recipe = Annotated[str, Meta(max_length=64, pattern=PRINTABLE, description="the name of a recipe")]
Argument = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*" + END, max_length=255)]


class BuildFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    recipe: Annotated[str, Meta(max_length=64, pattern=PRINTABLE, description="such as node")] | UnsetType = (
        UNSET
    )
    commands: Annotated[list[Command], Meta(max_length=64)] | UnsetType = UNSET
    start: Command | UnsetType = UNSET
    path: Folder | UnsetType = UNSET
    dockerfile: Folder | UnsetType = UNSET
    target: (
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]+" + END, max_length=255, description="a stage")]
        | UnsetType
    ) = UNSET
    args: (
        Annotated[
            dict[Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*" + END)], str], Meta(max_length=100)
        ]
        | UnsetType
    ) = UNSET
    cache: Annotated[list[Folder], Meta(max_length=64)] | UnsetType = UNSET


class ManifestFields(SpecFields, forbid_unknown_fields=True, kw_only=True):
    name: Name | UnsetType = UNSET
    namespace: Name | UnsetType = UNSET
    environment: Slug | UnsetType = UNSET
    build: BuildFields | UnsetType = UNSET
