"""releases, promote, rollback: the versions of an app, and how one of them is deployed again."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from itertools import islice

import click

from paas.cli import apps, environments, output, rollout, watching
from paas.cli.apps import AppName, app_argument
from paas.cli.build_views import Build, BuildSource
from paas.cli.client import Client, decode
from paas.cli.problems import Problem
from paas.cli.session import Session, verb
from paas.cli.views import Artifact, Deployment, Environment, Released
from paas.core.records import dataclass

HEADERS = ("VERSION", "STATE", "ENVIRONMENT", "DEPLOYED", "WHAT", "REASON")
COLOURS = {"active": "green", "failed": "red", "queued": "cyan", "building": "cyan", "starting": "cyan"}
SHOWN = 20
SHORT_COMMIT = 7
REBUILD_SECONDS = 330.0  # the API waits for a build up to five minutes


class Version(click.ParamType[int]):
    """vN or N."""

    name = "version"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"v?([1-9]\d{0,8})", str(value))
        if match is None:
            self.fail(f"{value} is no version such as v3", param, ctx)
        return int(match[1])


@click.command("releases")
@app_argument
@click.option("-n", "count", metavar="N", type=click.IntRange(1, 1000), default=SHOWN, help="How many.")
@verb
def releases_command(session: Session, name: AppName, count: int) -> None:
    """List the newest versions of APP: where, how, when and what."""
    client = session.client
    app = apps.find(client, name)
    if session.as_json:
        query = {"page_size": min(count, apps.PAGE)}
        output.document(client.get(f"/api/v1/apps/{app.id}/deployments", query))
        return
    found = list(islice(apps.deployments(client, app), count))
    if not found:
        session.say(f"{app.title} has no version yet")
        return
    names = _names(client, found)
    output.table(
        HEADERS,
        [_row(each, names) for each in found],
        colours=[COLOURS.get(each.state) for each in found],
    )


@click.command("rollback")
@app_argument
@click.argument("version", metavar="[vN]", type=Version(), required=False)
@click.option("--environment", metavar="NAME", help="Where; else where the app is served from.")
@verb
def rollback_command(session: Session, name: AppName, version: int | None, environment: str | None) -> None:
    """Deploy again what was current before in APP, or version vN."""
    client = session.client
    app = apps.find(client, name)
    wish = {"version": version, "environment": environment}
    raw = client.call("POST", f"/api/v1/apps/{app.id}/rollback", body=wish)
    _follow(session, name, raw)


@click.command("promote")
@app_argument
@click.option("--from", "source", metavar="NAME", default="development", show_default=True, help="Of where.")
@click.option("--to", "target", metavar="NAME", default="production", show_default=True, help="Into where.")
@click.option("--rebuild", is_flag=True, help="Build its source anew.")
@verb
def promote_command(session: Session, name: AppName, *, source: str, target: str, rebuild: bool) -> None:
    """Deploy what is current in one environment of APP into another, whose variables apply."""
    client = session.client
    app = apps.find(client, name)
    current = decode(environments.find_raw(client, app, source), Environment).current_deployment_id
    if current is None:
        raise Problem(
            f"cannot promote {name}: nothing is current in {source}",
            hint=f"paas environments list {name}",
        )
    if rebuild and not session.as_json:
        output.step(f"Building the source of what runs in {source} anew")
    raw = client.call(
        "POST",
        f"{watching.path(current)}/promote",
        body={"strategy": "rebuild" if rebuild else "instant", "environment": target},
        timeout=REBUILD_SECONDS,
    )
    _follow(session, name, raw)


def _follow(session: Session, name: AppName, raw: bytes) -> None:
    """Follow the deployment that was made, or say how a build that goes on is followed."""
    released = decode(raw, Released)
    if released.deployment_id is not None:
        made = watching.look(session.client, released.deployment_id).deployment
        rollout.follow(session, str(name), made)
        return
    if session.as_json:
        output.document(raw)
    session.say(f"The build takes long, and goes on: paas builds logs -f {released.build_id}")


@dataclass(frozen=True, slots=True)
class Names:
    """What people call what ran: artifacts by their id, the commits of builds by theirs."""

    artifacts: Mapping[str, str]
    commits: Mapping[str, str]

    def of(self, each: Deployment) -> str:
        spec = each.spec
        bare = spec.image or self.artifacts.get(spec.artifact_id or "", "-")
        commit = self.commits.get(each.build_id or "")
        return bare if commit is None else f"{commit}, {bare}"


def _names(client: Client, found: list[Deployment]) -> Names:
    """Name what some deployments run. Of an artifact or a build that was deleted nothing is known."""
    artifacts, commits = {}, {}
    for artifact_id in {each.spec.artifact_id for each in found} - {None}:
        raw = _read(client, f"/api/v1/artifacts/{artifact_id}")
        artifacts[str(artifact_id)] = "deleted" if raw is None else decode(raw, Artifact).name
    for build_id in {each.build_id for each in found} - {None}:
        raw = _read(client, f"/api/v1/builds/{build_id}")
        source = BuildSource() if raw is None else decode(raw, Build).source
        if source.commit is not None:
            ref = "" if source.ref in (None, source.commit) else f" of {source.ref}"
            commits[str(build_id)] = source.commit[:SHORT_COMMIT] + ref
    return Names(artifacts, commits)


def _read(client: Client, path: str) -> bytes | None:
    try:
        return client.get(path)
    except Problem as problem:
        if problem.status == HTTPStatus.NOT_FOUND:
            return None
        raise


def _row(each: Deployment, names: Names) -> tuple[str, ...]:
    return (
        f"v{each.version}",
        each.state,
        each.environment_slug,
        output.ago(each.created_at),
        names.of(each),
        each.reason or "-",
    )
