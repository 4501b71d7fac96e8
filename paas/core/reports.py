"""What GitHub is told: how a commit fares, and where the preview of a pull request is. Pure."""

from typing import Literal, assert_never

from paas.core.builds import Build
from paas.core.ids import AppId, BuildId
from paas.core.model import App, Deployment
from paas.core.records import dataclass
from paas.core.states import (
    SERVING_DEPLOYMENT,
    UNSETTLED_DEPLOYMENT,
    BuildState,
    DeploymentState,
)

State = Literal["pending", "success", "failure", "error"]  # GitHub's words; error: nobody's fault

LONGEST_DESCRIPTION = 140  # of a commit's state, in characters
LONGEST_REASON = 500
SHORT_COMMIT = 7
SLEEPS = "It sleeps when nobody asks; the first request wakes it."
GONE = "The preview of this pull request is gone."


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One thing that GitHub is told about until it does not change any more."""

    id: int
    app_id: AppId
    build_id: BuildId | None  # None: it is about a preview
    commit_id: str | None
    pull_request: int | None
    comment_id: int | None
    told: str | None
    attempts: int
    failing_since: float | None
    try_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a build and what follows from it are."""

    state: State
    reason: str


def standing(build: Build, deployment: Deployment | None) -> Standing:
    """Say how the commit of a build fares."""
    match build.state:
        case BuildState.QUEUED | BuildState.RUNNING:
            return Standing(state="pending", reason="it is being built")
        case BuildState.FAILED:
            return Standing(state="failure", reason=build.reason or "the build failed")
        case BuildState.CANCELLED:
            return Standing(state="error", reason=build.reason or "the build was cancelled")
        case BuildState.SUCCEEDED:
            return _deployed(deployment)
    assert_never(build.state)


def _deployed(deployment: Deployment | None) -> Standing:
    if deployment is None:  # it has been, and retention took it
        return Standing(state="success", reason="it was deployed")
    where = f"version {deployment.version} in {deployment.environment}"
    if deployment.state in UNSETTLED_DEPLOYMENT:
        return Standing(state="pending", reason="it is being built")
    if deployment.state in SERVING_DEPLOYMENT:
        return Standing(state="success", reason=f"it is {where}")
    is_fault = deployment.state is DeploymentState.FAILED
    reason = deployment.reason or f"it is {deployment.state}"
    return Standing(state="failure" if is_fault else "error", reason=f"{where}: {reason}")


def description(found: Standing) -> str:
    """Write a standing in one short line."""
    line = " ".join(found.reason.split())
    return line if len(line) <= LONGEST_DESCRIPTION else f"{line[: LONGEST_DESCRIPTION - 3]}..."


def context(app: App, environment: str) -> str:
    """Name what a commit's state is about, so that apps and environments of one repository have one each."""
    return f"paas/{app.namespace}/{app.name}/{environment}"


def marker(app: App) -> str:
    """Write what a comment is found again by."""
    return f"<!-- paas preview {app.id} -->"


def comment(app: App, commit: str, found: Standing, url: str) -> str:
    """Write what people are told of a preview, in Markdown."""
    short = f"`{commit[:SHORT_COMMIT]}`"
    match found.state:
        case "pending":
            text = f"Commit {short} is being built. Its preview will be at {url}"
        case "success":
            text = f"The preview of commit {short} is at {url}\n\n{SLEEPS}"
        case "failure" | "error":
            text = f"There is no preview of commit {short}:\n\n{_quoted(found.reason)}"
    return f"{marker(app)}\n**{app.namespace}/{app.name}**: {text}"


def farewell(app: App) -> str:
    return f"{marker(app)}\n**{app.namespace}/{app.name}**: {GONE}"


def _quoted(text: str) -> str:
    """Show what a build said as it is: nothing in it is Markdown, and nobody is mentioned by it."""
    return "\n".join(f"    {line}" for line in text[:LONGEST_REASON].splitlines())
