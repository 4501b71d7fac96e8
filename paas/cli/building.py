"""A folder with a Dockerfile becomes an image: sent, built by the agent, and its log shown."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import click

from paas.cli import output, packing
from paas.cli.client import UNREACHABLE, Client, decode
from paas.cli.problems import INTERRUPTED, Problem
from paas.cli.session import Session
from paas.cli.views import App, Build, LogEntry

DOCKERFILE = "Dockerfile"
UNFINISHED_STATES = frozenset({"queued", "running"})

Progress = Callable[[Session, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is built, and how."""

    folder: Path
    dockerfile: str
    target: str | None
    args: tuple[tuple[str, str], ...]
    no_cache: bool


def path(build_id: str) -> str:
    return f"/api/v1/builds/{build_id}"


def build(session: Session, app: App, wish: Wish, progress: Progress) -> Build:
    """Build an image and show how. Raises Problem when it fails, and on Ctrl-C, which only detaches."""
    made = _send(session, app, wish, progress)
    try:
        ended = follow(session.client, made.id, _ignore if session.as_json else _show)
    except KeyboardInterrupt:
        raise Problem(
            f"detached from build {made.id}, which goes on; nothing is deployed when it is done",
            hint=f"paas builds logs -f {made.id}, or paas builds cancel {made.id}",
            code="INTERRUPTED",
            exit_code=INTERRUPTED,
        ) from None
    if ended.image_id is None:
        reason = output.printable(ended.reason or f"it is {ended.state}")
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


def _send(session: Session, app: App, wish: Wish, progress: Progress) -> Build:
    with packing.packed_context(wish.folder, wish.dockerfile) as package:
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
                    "dockerfile": wish.dockerfile,
                    "target": wish.target,
                    "build_args": json.dumps(dict(wish.args)) if wish.args else None,
                    "no_cache": "true" if wish.no_cache else None,
                },
                content_type=package.content_type,
            )
    made = decode(raw, Build)
    if not session.as_json:
        output.step(f"Building {wish.dockerfile}, as build {made.id}")
    return made


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


def is_wanted(folder: Path, dockerfile: str | None) -> bool:
    """Say whether a folder is built: it has a Dockerfile, or one was named."""
    if dockerfile is None:
        return (folder / DOCKERFILE).is_file()
    if not (folder / dockerfile).is_file():
        raise click.UsageError(f"there is no {dockerfile} in {folder}")
    return True
