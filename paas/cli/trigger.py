"""trigger: what is in the repository of an app, built and deployed."""

import click

from paas.cli import apps, building, output, rollout, watching
from paas.cli.apps import AppName, app_argument
from paas.cli.client import decode
from paas.cli.problems import INTERRUPTED, Problem
from paas.cli.session import Session, verb
from paas.cli.views import Deployment, LogEntry, Record

AT_ONCE = {"Prefer": "respond-async"}  # the log is followed meanwhile


class Begun(Record, frozen=True, kw_only=True):
    build_id: str


class Made(Record, frozen=True, kw_only=True):
    deployment_id: str


@click.command("trigger")
@app_argument
@click.option("--branch", help="The branch.  [default: the configured one]")
@click.option("--ref", metavar="COMMIT", help="A commit by its id.  [default: the branch's last]")
@click.option("--environment", default="development", show_default=True, help="Where it is deployed to.")
@click.option("--skip-build", is_flag=True, help="Deploy what the newest successful build came to.")
@verb
def trigger_command(
    session: Session,
    name: AppName,
    *,
    branch: str | None,
    ref: str | None,
    environment: str,
    skip_build: bool,
) -> None:
    """Build what is in the repository of APP and deploy it; `paas source` says where that is."""
    client = session.client
    app = apps.find(client, name)
    given = {"branch": branch, "ref": ref}
    body = {key: value for key, value in given.items() if value is not None} | {
        "environment": environment,
        "skip_build": skip_build,
    }
    raw = client.call(
        "POST",
        f"/api/v1/apps/{app.id}/deploy/trigger",
        body=body,
        headers={} if skip_build else AT_ONCE,
    )
    if skip_build:
        made = decode(raw, Made).deployment_id
    else:
        made = _built(session, app.title, decode(raw, Begun).build_id)
    rollout.follow(session, app.title, decode(client.get(watching.path(made)), Deployment))


def _built(session: Session, title: str, build_id: str) -> str:
    """Show a build until it has ended, and give what it deploys."""
    if not session.as_json:
        output.step(f"Building {title}, as build {build_id}")
    try:
        ended = building.follow(session.client, build_id, _ignore if session.as_json else _show)
    except KeyboardInterrupt:
        raise Problem(
            f"detached from build {build_id}, which goes on, and deploys what comes of it",
            hint=f"paas builds logs -f {build_id}, or paas builds cancel {build_id}",
            code="INTERRUPTED",
            exit_code=INTERRUPTED,
        ) from None
    if ended.deployment_id is None:
        reason = output.printable(ended.reason or f"it is {ended.state}")
        raise Problem(f"cannot build {title}: {reason}", code="BUILD_FAILED")
    return ended.deployment_id


def _show(raw: bytes) -> None:
    output.detail(decode(raw, LogEntry).message)


def _ignore(raw: bytes) -> None:
    del raw
