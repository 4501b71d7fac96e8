"""stop and rm: what ends an app, and asks first."""

import click

from paas.cli import apps, output, watching
from paas.cli.apps import LIVE_STATES, AppName, app_argument
from paas.cli.client import decode
from paas.cli.problems import Problem
from paas.cli.session import Session, is_terminal, verb
from paas.cli.views import App, Deployment
from paas.cli.watching import Wait

STOP_SECONDS = 90.0  # over the grace: open requests may end first

yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@click.command("stop")
@app_argument
@yes_option
@verb
def stop_command(session: Session, name: AppName, *, yes: bool) -> None:
    """Stop APP for good: no request wakes it, `paas restart` starts it again. Asks on a terminal."""
    client = session.client
    app = apps.find(client, name)
    live = [deployment for deployment in apps.deployments(client, app) if deployment.state in LIVE_STATES]
    if not yes and live and is_terminal():
        _ask(f"Stop {name}, and {_versions(len(live))} of it?")
    after = watching.last_seq(client)
    for deployment in live:
        client.call("POST", f"{watching.path(deployment.id)}/cancel")
    answers = [_until_ended(session, name, deployment, after) for deployment in live]
    if session.as_json:
        output.document(b"[%b]" % b",".join(answers))
    session.say(f"{name} is stopped" if live else f"{name} was not running")


@click.command("rm")
@app_argument
@yes_option
@verb
def rm_command(session: Session, name: AppName, *, yes: bool) -> None:
    """Delete APP with its versions. Asks on a terminal; elsewhere it wants --yes."""
    client = session.client
    raw = apps.find_raw(client, name)
    app = decode(raw, App)
    if not yes:
        if not is_terminal():
            raise Problem(
                f"cannot delete {name}: nobody can be asked", hint="say --yes", code="NOT_CONFIRMED"
            )
        _ask(f"Delete {name} with all its versions?")
    client.call("DELETE", f"/api/v1/apps/{app.id}")
    if session.as_json:
        output.document(raw)
    session.say(f"{name} is deleted")


def _until_ended(session: Session, name: AppName, deployment: Deployment, after: int) -> bytes:
    limit_seconds = deployment.spec.stop_grace_secs + STOP_SECONDS
    wait = Wait(wish=f"stop {name}", after=after, limit_seconds=limit_seconds)
    return watching.until_ended(session.client, deployment.id, wait).raw


def _ask(question: str) -> None:
    if not click.confirm(question, err=True):
        raise Problem("nothing was done", code="NOT_CONFIRMED")


def _versions(count: int) -> str:
    return "1 version" if count == 1 else f"all {count} versions"
