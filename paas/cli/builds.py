"""builds: what was built, how it went, and how to end it."""

from datetime import UTC, datetime

import click

from paas.cli import apps, building, output
from paas.cli.apps import APP, AppName
from paas.cli.build_views import Build, BuildPage, BuildSource
from paas.cli.client import Client, decode
from paas.cli.problems import Problem
from paas.cli.session import Session, common_options, verb
from paas.cli.views import App, AppPage, LogEntry

HEADERS = ("BUILD", "STATE", "APP", "SOURCE", "RECIPE", "BEGUN", "TOOK", "REASON")
STATES = ("queued", "running", "succeeded", "failed", "cancelled")
COLOURS = {"succeeded": "green", "running": "cyan", "queued": "cyan", "failed": "red", "cancelled": "yellow"}
SHORT_ID = 8
ID_LENGTH = 36
SHOWN = 20
SEARCHED = 100
MOST_LINES = 10_000


@click.group("builds", invoke_without_command=True)
@common_options
@click.pass_context
def builds_command(ctx: click.Context) -> None:
    """List builds, show one and its log, cancel it. Without a verb: list."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(ls_command)


@builds_command.command("ls")
@click.argument("name", metavar="[APP]", type=APP, required=False)
@click.option("--state", type=click.Choice(STATES), help="Those that are in this state.")
@verb
def ls_command(session: Session, name: AppName | None = None, state: str | None = None) -> None:
    """List the newest builds, of all apps or of APP."""
    client = session.client
    app_id = None if name is None else apps.find(client, name).id
    raw = client.get("/api/v1/builds", {"page_size": SHOWN, "app_id": app_id, "state": state})
    if session.as_json:
        output.document(raw)
        return
    listed = decode(raw, BuildPage).data
    if not listed:
        session.say("No such builds" if name or state else "No builds yet: paas deploy FOLDER")
        return
    titles = _titles(client)
    output.table(
        HEADERS,
        [_row(build, titles) for build in listed],
        colours=[COLOURS.get(build.state) for build in listed],
    )


@builds_command.command("show")
@click.argument("build_id", metavar="BUILD")
@verb
def show_command(session: Session, build_id: str) -> None:
    """Show one build: how it is, and what came of it."""
    raw = building.look(session.client, _whole_id(session.client, build_id))
    if session.as_json:
        output.document(raw)
        return
    build = decode(raw, Build)
    click.echo(f"Build {build.id} is {click.style(build.state, fg=COLOURS.get(build.state), bold=True)}")
    output.fields(
        [
            ("app", _titles(session.client).get(build.app_id, build.app_id)),
            ("source", _source(build.source)),
            ("commit", build.source.commit),
            ("folder", build.source.path or None),
            ("environment", build.environment),
            ("recipe", build.recipe),
            ("commands", " && ".join(build.commands) or None),
            ("start", build.start),
            ("dockerfile", build.dockerfile),
            ("stage", build.target),
            ("sent", None if build.context_size is None else output.size(build.context_size)),
            ("asked", output.ago(build.created_at)),
            ("took", _took(build)),
            ("same as", build.reused_build_id and f"build {build.reused_build_id}"),
            ("artifact", build.artifact_id),
            ("image", build.image),
            ("size", None if build.image_size is None else output.size(build.image_size)),
            ("deployed as", build.deployment_id or ("when it is done" if _will_deploy(build) else None)),
            ("reason", build.reason),
        ]
    )


@builds_command.command("logs")
@click.argument("build_id", metavar="BUILD")
@click.option("-f", "--follow", is_flag=True, help="Go on until it has ended.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, MOST_LINES),
    default=MOST_LINES,
    help="The last N.  [default: all]",
)
@verb
def logs_command(session: Session, build_id: str, *, follow: bool, lines: int) -> None:
    """Show what a build said. With -f the exit code is 1 if it fails."""
    client = session.client
    whole_id = _whole_id(client, build_id)
    if follow:
        ended = building.follow(client, whole_id, click.echo if session.as_json else _show, tail=lines)
        if ended.state != "succeeded":
            reason = output.printable(ended.reason or f"it is {ended.state}")
            raise Problem(f"the build came to nothing: {reason}", code="BUILD_FAILED")
        return
    raw = client.get(f"{building.path(whole_id)}/logs", {"tail": lines})
    if session.as_json:
        output.document(raw)
        return
    for entry in decode(raw, tuple[LogEntry, ...]):
        click.echo(output.printable(entry.message))


@builds_command.command("cancel")
@click.argument("build_id", metavar="BUILD")
@verb
def cancel_command(session: Session, build_id: str) -> None:
    """End a build that waits or runs."""
    raw = session.client.call("POST", f"{building.path(_whole_id(session.client, build_id))}/cancel")
    if session.as_json:
        output.document(raw)
        return
    session.say(f"Build {decode(raw, Build).id} is cancelled")


def _show(raw: bytes) -> None:
    click.echo(output.printable(decode(raw, LogEntry).message))


def _row(build: Build, titles: dict[str, str]) -> tuple[str, ...]:
    return (
        build.id[:SHORT_ID],
        build.state,
        titles.get(build.app_id, build.app_id[:SHORT_ID]),
        _short_source(build.source),
        build.recipe or "-",
        output.ago(build.started_at) if build.started_at else "-",
        _took(build) or "-",
        build.reason or "-",
    )


def _source(source: BuildSource) -> str:
    if source.url is None:
        return "an archive that was sent"
    return source.url if source.ref is None else f"{source.url} at {source.ref}"


def _short_source(source: BuildSource) -> str:
    """Name the repository without its server, and the commit as people write it."""
    if source.url is None:
        return "archive"
    name = "/".join(source.url.removesuffix(".git").rsplit("/", 2)[-2:])
    at = source.commit[:SHORT_ID] if source.commit else source.ref
    return name if at is None else f"{name}@{at}"


def _will_deploy(build: Build) -> bool:
    return build.deploy and build.state in building.UNFINISHED_STATES


def _took(build: Build) -> str | None:
    if build.started_at is None:
        return None
    return output.duration(((build.ended_at or datetime.now(UTC)) - build.started_at).total_seconds())


def _titles(client: Client) -> dict[str, str]:
    listed: list[App] = [app for raw in apps.all_apps(client) for app in decode(raw, AppPage).data]
    return {app.id: app.title for app in listed}


def _whole_id(client: Client, text: str) -> str:
    """Find the build whose id begins so, as `paas builds` prints them. Raises Problem."""
    if len(text) == ID_LENGTH:
        return text
    page = decode(client.get("/api/v1/builds", {"page_size": SEARCHED}), BuildPage)
    found = [build.id for build in page.data if text and build.id.startswith(text.lower())]
    if len(found) == 1:
        return found[0]
    cause = "several builds have ids" if found else "no build has an id"
    raise Problem(
        f"{cause} that begin with {text}" if found else f"{cause} that begins with {text}",
        hint="`paas builds` lists them",
    )
