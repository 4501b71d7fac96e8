"""A source becomes what can run: sent, or fetched by the agent, built by it, and its log shown."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from paas.cli import output, packing
from paas.cli.build_views import Build
from paas.cli.client import UNREACHABLE, Client, decode
from paas.cli.packing import Package
from paas.cli.problems import INTERRUPTED, Problem
from paas.cli.session import Session
from paas.cli.views import App, LogEntry
from paas.core.records import dataclass

DOCKERFILE = "Dockerfile"
SUCCEEDED = "succeeded"
UNFINISHED_STATES = frozenset({"queued", "running"})

Progress = Callable[[Session, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A source that is here, and how it is built."""

    place: Path  # a folder or an archive
    dockerfile: str | None  # None: the agent finds out what it is
    target: str | None
    args: tuple[tuple[str, str], ...]
    no_cache: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A source that is elsewhere, and how it is built."""

    url: str
    ref: str | None
    path: str
    dockerfile: str | None
    target: str | None
    args: tuple[tuple[str, str], ...]
    no_cache: bool


def path(build_id: str) -> str:
    return f"/api/v1/builds/{build_id}"


def build(
    session: Session, app: App, wish: Wish, environment: str | None, progress: Progress
) -> dict[str, object]:
    """Build a source, show how, and say in the API's words what a deployment of it runs.

    Raises Problem when it fails, and on Ctrl-C, which only detaches.
    """
    made = _send(session, app, wish, environment, progress)
    ended = _followed(session, app, made, "nothing is deployed when it is done")
    if ended.artifact_id is not None:
        return {"artifact_id": ended.artifact_id}
    return {"image": ended.image_id}


def build_repository(
    session: Session,
    app: App,
    repository: Repository,
    environment: str | None,
    spec: Mapping[str, object],
) -> str:
    """Let the agent build and deploy a repository, show how, and give the deployment's id. Raises Problem."""
    git = {"url": repository.url, "ref": repository.ref, "path": repository.path}
    body = {
        "app_id": app.id,
        "git": git,
        "deploy": True,
        "replaces": True,
        "environment": environment,
        "spec": dict(spec) or None,
        "dockerfile": repository.dockerfile,
        "target": repository.target,
        "build_args": dict(repository.args) or None,
        "no_cache": repository.no_cache,
    }
    given = {key: value for key, value in body.items() if value is not None}
    made = decode(session.client.call("POST", "/api/v1/builds", body=given), Build)
    if not session.as_json:
        output.step(f"Building {repository.url}, as build {made.id}")
    ended = _followed(session, app, made, "and is deployed when it is done")
    if ended.deployment_id is None:
        raise Problem(f"build {ended.id} was not deployed", hint=f"paas builds show {ended.id}")
    return ended.deployment_id


def _followed(session: Session, app: App, made: Build, afterwards: str) -> Build:
    """Show what a build says until it has succeeded. Raises Problem."""
    try:
        ended = follow(session.client, made.id, _ignore if session.as_json else _show)
    except KeyboardInterrupt:
        raise Problem(
            f"detached from build {made.id}, which goes on; {afterwards}",
            hint=f"paas builds logs -f {made.id}, or paas builds cancel {made.id}",
            code="INTERRUPTED",
            exit_code=INTERRUPTED,
        ) from None
    if ended.state != SUCCEEDED:
        reason = output.printable(ended.reason or f"it is {ended.state}").removeprefix("cannot build: ")
        raise Problem(f"cannot build {app.title}: {reason}", code="BUILD_FAILED")
    return ended


def follow(client: Client, build_id: str, show: Callable[[bytes], None], *, tail: int | None = None) -> Build:
    """Give each entry of a build's log to `show`, until it has ended."""
    last_id: str | None = None
    for frame in client.follow(f"{path(build_id)}/logs/stream", {"tail": tail}):
        if frame is not None:
            last_id = frame.id or last_id
            show(frame.data)
            continue
        try:  # connected, or nothing new: the agent ends the stream when the build has ended
            seen = decode(client.get(path(build_id)), Build)
            if seen.state not in UNFINISHED_STATES:
                _show_rest(client, build_id, last_id, show, tail)
                return seen
        except Problem as problem:
            if problem.code != UNREACHABLE:
                raise
    raise AssertionError("follow has no end")


def look(client: Client, build_id: str) -> bytes:
    return client.get(path(build_id))


def _send(session: Session, app: App, wish: Wish, environment: str | None, progress: Progress) -> Build:
    with _packed(wish) as package:
        if not session.as_json:
            output.step(f"Sending {package.name}, {output.size(package.size_bytes)}")
        with progress(session, package.size_bytes) as sent:
            raw = session.client.upload(
                "/api/v1/builds",
                package.file,
                package.size_bytes,
                sent,
                query={
                    "app_id": app.id,
                    "environment": environment,
                    "dockerfile": wish.dockerfile,
                    "target": wish.target,
                    "build_args": json.dumps(dict(wish.args)) if wish.args else None,
                    "no_cache": "true" if wish.no_cache else None,
                },
                content_type=package.content_type,
            )
    made = decode(raw, Build)
    if not session.as_json:
        output.step(f"Building {wish.dockerfile or package.name}, as build {made.id}")
    return made


def _packed(wish: Wish) -> AbstractContextManager[Package]:
    if not wish.place.is_dir():
        return packing.packed(wish.place)
    if wish.dockerfile is not None:
        return packing.packed_context(wish.place, wish.dockerfile)
    return packing.packed_source(wish.place)


def _show_rest(
    client: Client, build_id: str, last_id: str | None, show: Callable[[bytes], None], tail: int | None
) -> None:
    """Show what the stream had not brought yet."""
    import msgspec  # noqa: PLC0415 - what is shown is passed on as it is

    query = {"tail": tail} if last_id is None else {"after": int(last_id)}
    raw = client.get(f"{path(build_id)}/logs", query)
    for entry in msgspec.json.decode(raw, type=list[msgspec.Raw]):
        show(bytes(entry))


def _show(raw: bytes) -> None:
    output.detail(decode(raw, LogEntry).message)


def _ignore(raw: bytes) -> None:
    del raw
