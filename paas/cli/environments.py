"""environments: where versions of an app are deployed, each with its own current one and its own host."""

from urllib.parse import quote

import click

from paas.cli import apps, output
from paas.cli.apps import AppName, app_argument
from paas.cli.client import Client, decode
from paas.cli.problems import Problem
from paas.cli.session import Session, common_options, is_terminal, verb
from paas.cli.views import App, Environment, EnvironmentPage

HEADERS = ("ENVIRONMENT", "STATE", "VERSION", "URL")

environment_argument = click.argument("environment", metavar="ENVIRONMENT")


@click.group("environments")
@common_options
def environments_command() -> None:
    """List, create and delete the environments of an app."""


@environments_command.command("list")
@app_argument
@verb
def list_command(session: Session, name: AppName) -> None:
    """List the environments of APP."""
    client = session.client
    pages = list(client.pages(path(apps.find(client, name))))
    if session.as_json:
        output.pages(pages)
        return
    listed = [each for page in pages for each in decode(page, EnvironmentPage).data]
    output.table(
        HEADERS,
        [_row(each) for each in listed],
        colours=[output.ACTIVITY_COLOURS.get(each.activity or "") for each in listed],
    )


@environments_command.command("create")
@app_argument
@environment_argument
@verb
def create_command(session: Session, name: AppName, environment: str) -> None:
    """Create ENVIRONMENT in APP. A first deployment in one creates it too."""
    client = session.client
    raw = client.call("POST", path(apps.find(client, name)), body={"slug": environment})
    if session.as_json:
        output.document(raw)
    session.say(f"{environment} of {name} is created")
    url = decode(raw, Environment).url
    if url is not None:
        session.say(url)


@environments_command.command("rm")
@app_argument
@environment_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@verb
def rm_command(session: Session, name: AppName, environment: str, *, yes: bool) -> None:
    """Delete ENVIRONMENT of APP with what runs in it. Asks on a terminal; elsewhere it wants --yes."""
    client = session.client
    app = apps.find(client, name)
    raw = find_raw(client, app, environment)
    if not yes:
        if not is_terminal():
            raise Problem(
                f"cannot delete {environment} of {name}: nobody can be asked",
                hint="say --yes",
                code="NOT_CONFIRMED",
            )
        if not click.confirm(f"Delete {environment} of {name} with all that runs in it?", err=True):
            raise Problem("nothing was done", code="NOT_CONFIRMED")
    client.call("DELETE", path(app, environment))
    if session.as_json:
        output.document(raw)
    session.say(f"{environment} of {name} is deleted")


def path(app: App, environment: str | None = None) -> str:
    end = "" if environment is None else f"/{quote(environment, safe='')}"
    return f"/api/v1/apps/{app.id}/environments{end}"


def find_raw(client: Client, app: App, environment: str) -> bytes:
    """Read an environment as the API writes it. Raises Problem, with what to do, if there is none."""
    try:
        return client.get(path(app, environment))
    except Problem as problem:
        if problem.code == "ENVIRONMENT_NOT_FOUND":
            problem.hint = f"`paas environments list {app.title}` lists those that are there"
        raise


def _row(each: Environment) -> tuple[str, ...]:
    return (
        each.slug,
        each.activity or "-",
        "-" if each.current_version is None else f"v{each.current_version}",
        each.url or "-",
    )
