"""source: where an app's source is, and what of it is deployed by itself."""

import secrets
import sys

import click
import msgspec

from paas.cli import apps, output
from paas.cli.apps import AppName, app_argument
from paas.cli.client import Client, decode
from paas.cli.problems import Problem
from paas.cli.session import Session, common_options, is_terminal, verb
from paas.cli.views import App, Record

LARGEST_BYTES = 64 * 1024  # of a token; the API takes less
SECRET_BYTES = 32
HOOK_PATH = "/api/v1/webhooks/github"
NOT_FOUND = "SOURCE_NOT_FOUND"


class Source(Record, frozen=True, kw_only=True):
    repository_url: str
    branch: str
    path: str
    auto_deploy: bool
    previews: bool
    environment: str
    has_token: bool
    has_webhook_secret: bool


@click.group("source")
@common_options
def source_command() -> None:
    """Say where the source of an app is: what `trigger`, pushes and pull requests deploy."""


@source_command.command("show")
@app_argument
@verb
def show_command(session: Session, name: AppName) -> None:
    """Show where the source of APP is; its token and webhook secret are never shown."""
    raw = session.client.get(_path(apps.find(session.client, name)))
    if session.as_json:
        output.document(raw)
        return
    _show(decode(raw, Source))


@source_command.command("set")
@app_argument
@click.argument("url", metavar="[URL]", required=False)
@click.option("--branch", help="The branch that is deployed.  [default: main]")
@click.option("--path", metavar="FOLDER", help="The folder in the repository that is built.")
@click.option("--environment", help="Where pushes are deployed to.  [default: development]")
@click.option("--auto-deploy/--no-auto-deploy", default=None, help="Deploy what is pushed to the branch.")
@click.option("--previews/--no-previews", default=None, help="Give each pull request an environment.")
@click.option("--token", "ask_token", is_flag=True, help="Ask for the token of a private repository.")
@click.option("--token-stdin", is_flag=True, help="Read the token from standard input.")
@click.option("--no-token", is_flag=True, help="Forget the token.")
@click.option("--new-webhook-secret", is_flag=True, help="Make a webhook secret, and print it once.")
@click.option("--webhook-secret-stdin", is_flag=True, help="Read the webhook secret from standard input.")
@verb
def set_command(
    session: Session,
    /,
    name: AppName,
    *,
    url: str | None,
    branch: str | None,
    path: str | None,
    environment: str | None,
    auto_deploy: bool | None,
    previews: bool | None,
    **of_secrets: bool,
) -> None:
    """Keep that the source of APP is at URL, such as https://github.com/owner/name.

    What is not given stays as it is; the secrets only as long as the repository does.
    """
    client = session.client
    _check(**of_secrets)
    app = apps.find(client, name)
    body = _before(client, app)
    given = {
        "repository_url": url,
        "branch": branch,
        "path": path,
        "environment": environment,
        "auto_deploy": auto_deploy,
        "previews": previews,
    }
    body |= {key: value for key, value in given.items() if value is not None}
    if "repository_url" not in body:
        raise Problem(f"cannot set the source of {name}: it has none yet", hint="say its URL")
    body |= _secrets(name, **of_secrets)
    raw = client.call("PUT", _path(app), body=body)
    if session.as_json:
        output.document(raw)
    else:
        _show(decode(raw, Source))
    if of_secrets["new_webhook_secret"]:
        click.echo(f"webhook secret, shown this once: {body['webhook_secret']}", err=session.as_json)
        session.say(f"GitHub's hook posts JSON to https://YOUR-NAME{HOOK_PATH}: docs/github.md says how")


@source_command.command("rm")
@app_argument
@verb
def rm_command(session: Session, name: AppName) -> None:
    """Forget where the source of APP is, with its token and webhook secret."""
    app = apps.find(session.client, name)
    session.client.call("DELETE", _path(app))
    session.say(f"the source of {name} is forgotten; what was deployed of it stays")


def _path(app: App) -> str:
    return f"/api/v1/apps/{app.id}/source-config"


def _before(client: Client, app: App) -> dict[str, object]:
    """Read what is kept, in the form in which it is sent."""
    try:
        source = decode(client.get(_path(app)), Source)
    except Problem as problem:
        if problem.code == NOT_FOUND:
            return {}
        raise
    kept: dict[str, object] = msgspec.to_builtins(source)
    return {key: value for key, value in kept.items() if not key.startswith("has_")}


def _check(
    *,
    ask_token: bool,
    token_stdin: bool,
    no_token: bool,
    new_webhook_secret: bool,
    webhook_secret_stdin: bool,
) -> None:
    """Refuse two ways to say one thing, and two things that would come the same way."""
    for clash in (
        {"--token": ask_token, "--token-stdin": token_stdin, "--no-token": no_token},
        {"--new-webhook-secret": new_webhook_secret, "--webhook-secret-stdin": webhook_secret_stdin},
        {"--token-stdin": token_stdin, "--webhook-secret-stdin": webhook_secret_stdin},
    ):
        if sum(clash.values()) > 1:
            raise click.UsageError(f"{' and '.join(clash)} exclude each other")


def _secrets(
    name: AppName,
    *,
    ask_token: bool,
    token_stdin: bool,
    no_token: bool,
    new_webhook_secret: bool,
    webhook_secret_stdin: bool,
) -> dict[str, object]:
    """Gather what is to be kept encrypted."""
    found: dict[str, object] = {}
    if no_token:
        found["token"] = None
    elif token_stdin:
        found["token"] = _read_stdin()
    elif ask_token:
        if not is_terminal():
            raise Problem(
                f"cannot ask for the token of {name}: nobody can be asked",
                hint="say --token-stdin",
                code="NOT_CONFIRMED",
            )
        found["token"] = click.prompt("Token", hide_input=True, err=True)
    if new_webhook_secret:
        found["webhook_secret"] = secrets.token_hex(SECRET_BYTES)
    elif webhook_secret_stdin:
        found["webhook_secret"] = _read_stdin()
    return found


def _read_stdin() -> str:
    try:
        return sys.stdin.buffer.read(LARGEST_BYTES).decode().strip()
    except UnicodeDecodeError:
        raise Problem("cannot read the secret: it is not UTF-8") from None


def _show(source: Source) -> None:
    output.fields(
        [
            ("repository", source.repository_url),
            ("branch", source.branch),
            ("folder", source.path or None),
            ("token", "kept" if source.has_token else "none"),
            ("webhook secret", "kept" if source.has_webhook_secret else "none: no delivery is taken"),
            ("pushes", f"are deployed to {source.environment}" if source.auto_deploy else "are left alone"),
            ("pull requests", "get an environment each" if source.previews else "are left alone"),
        ]
    )
