"""registry: who the agent is where private images come from."""

import sys
from http import HTTPStatus
from urllib.parse import quote

import click
from click.shell_completion import CompletionItem

from paas.cli import output
from paas.cli.client import PAGE, Client, decode
from paas.cli.problems import Problem
from paas.cli.session import API_URL, Session, api_url, common_options, is_terminal, verb
from paas.cli.views import Registry, RegistryPage

LARGEST_BYTES = 1024 * 1024  # of a password; the API takes less
COMPLETION_SECONDS = 1.0
PATH = "/api/v1/registries"


class HostType(click.ParamType[str]):
    """A registry's host; completes with those that are known."""

    name = "host"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        del param
        client = Client(api_url(ctx.meta.get(API_URL)))
        try:
            raw = client.call("GET", PATH, query={"page_size": PAGE}, timeout=COMPLETION_SECONDS)
            hosts = [registry.host for registry in decode(raw, RegistryPage).data]
        except Problem:
            return []  # a shell that completes is no place for an error
        return [CompletionItem(host) for host in hosts if host.startswith(incomplete)]


host_argument = click.argument("host", metavar="HOST", type=HostType())


@click.group("registry")
@common_options
def registry_command() -> None:
    """Say who the agent is where private images come from.

    HOST is what stands before the first slash of an image's name, such as ghcr.io or
    registry.example:5000. docker.io is Docker Hub.
    """


@registry_command.command("login")
@host_argument
@click.option("-u", "--username", metavar="USER", help="Who we are there; asked for when left out.")
@click.option("--password-stdin", is_flag=True, help="Read the password, or the token, from standard input.")
@verb
def login_command(session: Session, host: str, *, username: str | None, password_stdin: bool) -> None:
    """Keep user and password for HOST, encrypted; the next pull uses them. Replaces what was kept."""
    if not is_terminal() and (username is None or not password_stdin):
        missing = "-u USER" if username is None else "--password-stdin"
        raise Problem(
            f"cannot log in to {host}: nobody can be asked", hint=f"say {missing}", code="NOT_CONFIRMED"
        )
    if username is None:
        username = click.prompt("User", err=True)
    password = _read_password() if password_stdin else click.prompt("Password", hide_input=True, err=True)
    raw = session.client.call("PUT", _path(host), body={"username": username, "password": password})
    kept = decode(raw, Registry)
    if session.as_json:
        output.document(raw)
    session.say(f"images of {kept.host} are pulled as {kept.username}")


@registry_command.command("ls")
@verb
def ls_command(session: Session) -> None:
    """List the registries; passwords are never shown."""
    pages = list(session.client.pages(PATH))
    if session.as_json:
        output.pages(pages)
        return
    listed = [registry for page in pages for registry in decode(page, RegistryPage).data]
    if not listed:
        session.say("No registries yet: paas registry login HOST")
        return
    output.table(
        ("HOST", "USER", "CHANGED"),
        [(registry.host, registry.username, output.ago(registry.updated_at)) for registry in listed],
    )


@registry_command.command("logout")
@host_argument
@verb
def logout_command(session: Session, host: str) -> None:
    """Forget user and password of HOST. Images that are here already stay."""
    try:
        raw = session.client.get(_path(host))
        session.client.call("DELETE", _path(host))
    except Problem as problem:
        if problem.status == HTTPStatus.NOT_FOUND and problem.hint is None:
            problem.hint = "`paas registry ls` lists the registries"
        raise
    if session.as_json:
        output.document(raw)
    session.say(f"{decode(raw, Registry).host} is forgotten")


def _path(host: str) -> str:
    return f"{PATH}/{quote(host, safe='')}"


def _read_password() -> str:
    """Read all of standard input, but for the line's end that `echo` adds."""
    try:
        return sys.stdin.buffer.read(LARGEST_BYTES).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise Problem("cannot read the password: it is not UTF-8") from None
