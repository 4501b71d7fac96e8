"""zectre.yaml, as Zectre's tools write it, in the words of paas.toml."""

import shlex
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from paas.manifest.document import Path
from paas.manifest.shapes import Folder
from paas.specs.fields import END, Name

TISH = "tish"
PROGRAM = ".paas/program"  # where the recipe expects what was compiled
Duration = Annotated[
    str, Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h)" + END, description="such as 10s")
]
Feature = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+" + END, max_length=64)]


class SourceFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    source: Folder | UnsetType = UNSET
    features: (
        Annotated[list[Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+" + END)]], Meta(max_length=64)]
        | UnsetType
    ) = UNSET


class HealthCheckFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Interval and timeout are read and have no effect: what starts is asked until it answers."""

    path: str | UnsetType = UNSET
    interval: Duration | UnsetType = UNSET
    timeout: Duration | UnsetType = UNSET


class NetFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    port: int | UnsetType | None = UNSET
    protocol: str | UnsetType = UNSET
    health_check: HealthCheckFields | UnsetType = UNSET


class LimitFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    cpu: str | UnsetType = UNSET
    memory: str | UnsetType = UNSET


class DeployFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is passed on is checked where it has its own words."""

    replicas: int | UnsetType = UNSET
    strategy: Annotated[Literal["rolling"], Meta(description="the only one is rolling")] = "rolling"
    process_type: str | UnsetType = UNSET
    image: str | UnsetType | None = UNSET
    env: dict[str, str] | UnsetType = UNSET
    max_runtime_secs: float | UnsetType | None = UNSET
    volumes: list[object] | UnsetType = UNSET


class ZectreFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Name | UnsetType = UNSET
    namespace: Name | UnsetType = UNSET
    build: SourceFields | UnsetType = UNSET
    deploy: DeployFields | UnsetType = UNSET
    resources: LimitFields | UnsetType = UNSET
    networking: NetFields | UnsetType = UNSET


def is_text(path: Path) -> bool:
    """Say whether a value is text however it is written: variables are."""
    return len(path) == 3 and path[:2] == ("deploy", "env")  # noqa: PLR2004 - deploy.env.NAME


def in_our_words(fields: ZectreFields) -> dict[str, object]:
    """Write what it says as paas.toml would."""
    said: dict[str, Any] = msgspec.to_builtins(fields)  # the shapes above say what is in it
    deploy = said.pop("deploy", {})
    deploy.pop("strategy", None)
    networking = said.get("networking", {})
    health_check = networking.pop("health_check", {})
    if "path" in health_check:
        networking["health_path"] = health_check["path"]
    if "build" in said:
        build = said.pop("build")
        said |= {} if deploy.get("image") else {"build": _build(**build)}
    return {**said, **deploy}


def in_its_words(field: str) -> str:
    """Name a field as zectre.yaml does."""
    if field == "networking.health_path":
        return "networking.health_check.path"
    is_of_deploy = field.partition(".")[0] in DeployFields.__struct_fields__
    return f"deploy.{field}" if is_of_deploy else field


def _build(source: str = "src/main.tish", features: Sequence[str] = ()) -> dict[str, object]:
    words = ["tish", "build", *(word for feature in features for word in ("--feature", feature))]
    # A path that begins with a hyphen is still a path.
    words += [source if not source.startswith("-") else f"./{source}", "-o", PROGRAM]
    return {"recipe": TISH, "commands": [shlex.join(words)]}
