"""From source to what runs: what a build is made of, how, and what came of it.

Times are seconds since the epoch, UTC, as float. Sizes are bytes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from paas.core.ids import AppId, ArtifactId, BuildId, DeploymentId
from paas.core.records import dataclass, field
from paas.core.states import BuildState

DOCKERFILE = "dockerfile"  # the recipe that makes an image; all others make an artifact
READY_IMAGE = "image"  # but this, of a source whose manifest names an image: nothing is made


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is built: an archive that was sent, or a commit of a Git repository."""

    kind: Literal["archive", "git"]
    path: str = ""  # the folder inside it that is built; empty: its root
    sha256: str | None = None  # of the archive, as it was sent
    size_bytes: int | None = None  # likewise
    url: str | None = None  # of the repository; never with a password
    ref: str | None = None  # what was asked: a branch, a tag, a commit; None: the default branch
    commit: str | None = None  # its full id, once it is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What is deployed once a build has succeeded."""

    environment: str
    spec: Mapping[str, object] = field(default_factory=dict)  # fields as given, over manifest and app
    cause: str = "request"  # or "trigger", "push", "pull_request", "promote": for people and events
    env_of: DeploymentId | None = None  # whose own variables are copied
    is_preview: bool = False  # of a pull request: see previews.as_preview


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """How a source is built. What is None or empty is left to its manifest, then to what is found in it."""

    recipe: str | None = None  # by name
    commands: tuple[str, ...] = ()  # in the place of the recipe's own
    start: str | None = None  # likewise
    cache: tuple[str, ...] = ()  # likewise: folders that the next build finds again
    dockerfile: str | None = None  # its path in the source; given, the recipe is DOCKERFILE
    target: str | None = None  # the stage of the Dockerfile to end with; None: the last
    args: Mapping[str, str] = field(default_factory=dict)  # no place for secrets: images keep them
    no_cache: bool = False  # neither an earlier build's result nor anything that one kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one kind of source becomes a program, as it applies to one tree."""

    name: str
    build: tuple[str, ...] = ()  # shell commands, one after the other
    start: str | None = None  # the shell command of `web`; None: what the tree itself says
    cache: tuple[str, ...] = ()  # folders that the next build of the app finds again
    lockfiles: tuple[str, ...] = ()  # whose contents name the cache


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOrder:
    """All that a source builder needs to make a program of a tree."""

    build_id: BuildId
    tree: Path  # the folder that is built; the builder may change it
    workspace: Path  # an empty folder of this build's own, deleted afterwards
    recipe: Recipe
    env: Mapping[str, str]  # variables of the app and its environment; secrets are among them
    cache_key: str  # the same for the same environment, recipe and lockfiles; [0-9a-f]{64}
    no_cache: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a source builder made: a tar with a Procfile or a single executable at its root.

    The same files give the same bytes.
    """

    path: Path  # in the workspace
    name: str  # such as hello.tar


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """What a build of a Dockerfile came to."""

    name: str  # of its own, with a tag
    id: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One attempt to make what can run from source."""

    id: BuildId
    app_id: AppId
    state: BuildState
    reason: str | None  # why it is in this state, for people
    source: Source
    options: BuildOptions
    environment: str  # whose variables it sees
    rollout: Rollout | None  # None: nothing is deployed
    recipe: str | None  # the name of what was found
    fingerprint: str | None  # equal for equal source, recipe, options and variables of an app
    reused_build_id: BuildId | None  # whose result it took, for its fingerprint was the same
    artifact_id: ArtifactId | None  # what was made, unless it is an image
    image: str | None  # the name of what was made
    image_id: str | None
    image_bytes: int | None
    deployment_id: DeploymentId | None  # of its rollout
    created_at: float
    started_at: float | None
    ended_at: float | None
    updated_at: float
