"""deploy: a program, a source or an image becomes a new version of an app, and the steps are shown."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Unpack

import click

from paas.cli import apps, building, origins, output, packing, rollout, wishes
from paas.cli.apps import AppName
from paas.cli.building import Repository
from paas.cli.client import Client, decode
from paas.cli.deploy_options import DeployOptions, deploy_options
from paas.cli.origins import Origin
from paas.cli.packing import Package
from paas.cli.problems import Problem
from paas.cli.session import Session, verb
from paas.cli.views import DEFAULT_NAMESPACE, App, Artifact, Deployment

WHAT_RUNS = frozenset({"image", "artifact_id", "process_type"})  # what is sent takes the manifest's place


@click.command("deploy")
@click.argument("path", required=False, type=click.Path(exists=True, path_type=Path))
@deploy_options
@verb
def deploy_command(session: Session, path: Path | None, **options: Unpack[DeployOptions]) -> None:
    """Deploy PATH: an executable file, an archive, or a folder with a program or its source.

    With --image, --git or --zip instead of PATH, a container of that image, or what is built of that
    repository or archive. Without any of them, the folder one is in, if it has a paas.toml.

    Creates the app when it is new. Follows until it is ready or has failed; Ctrl-C detaches and
    leaves it to the agent. The last line is the URL.
    """
    origin = origins.choose(path, options)
    manifest = origin.manifest
    name = AppName(
        options["namespace"] or (manifest and manifest.namespace) or DEFAULT_NAMESPACE,
        options["app_name"] or (manifest and manifest.name) or origins.default_name(origin),
    )
    if manifest is not None and not session.as_json:
        output.step(f"Read {manifest.file_name}")
    if origin.repository is not None:
        deployment = _fetched(session, name, origin.repository, options)
    else:
        deployment = _deployed(session, name, origin, options)
    if options["wait"]:
        rollout.follow(session, str(name), deployment)
    else:
        rollout.leave(session, str(name), deployment)


def _deployed(session: Session, name: AppName, origin: Origin, options: DeployOptions) -> Deployment:
    """Have at the agent what is to run, making the app if it is new, and add a version of it."""
    manifest = origin.manifest
    environment, variables = wishes.environment(manifest, options), wishes.variables(manifest, options)
    app, what = _sent(session, name, origin, environment)
    said = wishes.spec(manifest, options)
    body = {key: said[key] for key in said.keys() - WHAT_RUNS} | what
    body |= {"environment": environment} if environment is not None else {}
    body |= {"env": variables} if variables else {}
    raw = session.client.call("POST", f"/api/v1/apps/{app.id}/deployments", body=body)
    return decode(raw, Deployment)


def _sent(
    session: Session, name: AppName, origin: Origin, environment: str | None
) -> tuple[App, dict[str, object]]:
    if origin.source is not None:
        app = _existing_or_new(session, name)
        built = building.build(session, app, origin.source, environment, _progress)
        return app, built
    if origin.program is None:
        return _existing_or_new(session, name), {"image": origin.image}
    with packing.packed(origin.program) as package:
        app = _existing_or_new(session, name)
        return app, {"artifact_id": _upload(session, package)}


def _fetched(session: Session, name: AppName, repository: Repository, options: DeployOptions) -> Deployment:
    """Let the agent fetch, build and deploy a repository, making the app if it is new."""
    app = _existing_or_new(session, name)
    environment, spec = wishes.environment(None, options), wishes.spec(None, options)
    deployment_id = building.build_repository(session, app, repository, environment, spec)
    return decode(session.client.get(f"/api/v1/deployments/{deployment_id}"), Deployment)


def _existing_or_new(session: Session, name: AppName) -> App:
    try:
        return apps.find(session.client, name)
    except Problem as problem:
        if problem.status != HTTPStatus.NOT_FOUND:
            raise
    body = {"name": name.name, "namespace": name.namespace}
    try:
        app = decode(session.client.call("POST", "/api/v1/apps", body=body), App)
    except Problem as problem:
        if problem.status != HTTPStatus.CONFLICT:
            raise
        return _made_meanwhile(session.client, name, problem)
    if not session.as_json:
        output.step(f"Created {name}")
    return app


def _made_meanwhile(client: Client, name: AppName, conflict: Problem) -> App:
    """Take the app that another deploy made a moment ago; else the conflict is with another's name."""
    try:
        return apps.find(client, name)
    except Problem:
        raise conflict from None


def _upload(session: Session, package: Package) -> str:
    body = {"name": package.name, "content_type": package.content_type}
    artifact = decode(session.client.call("POST", "/api/v1/artifacts", body=body), Artifact)
    if not session.as_json:
        output.step(f"Uploading {package.name}, {output.size(package.size_bytes)}")
    with _progress(session, package.size_bytes) as sent:
        session.client.upload(
            f"/api/v1/artifacts/{artifact.id}/upload", package.file, package.size_bytes, sent
        )
    return artifact.id


@contextmanager
def _progress(session: Session, size_bytes: int) -> Iterator[Callable[[int], None]]:
    """Draw a bar while bytes leave, for people at a terminal only."""
    if session.as_json or not sys.stderr.isatty():
        yield _ignore
        return
    from rich.console import Console  # noqa: PLC0415 - 60 ms that only a bar is worth
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn  # noqa: PLC0415

    columns = (BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("upload", total=size_bytes)
        yield lambda count: progress.advance(task, count)


def _ignore(count: int) -> None:
    del count
