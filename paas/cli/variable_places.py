"""Whose variables a verb is about: an app's, those of one of its environments, or a deployment's own."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict, TypeVar
from urllib.parse import quote

import click

from paas.cli import apps, output
from paas.cli.apps import AppName
from paas.cli.client import Client, decode
from paas.cli.problems import Problem
from paas.cli.session import Session
from paas.cli.views import App, Variable, VariableList
from paas.core.records import dataclass, field

F = TypeVar("F", bound=Callable[..., object])

HEADERS = ("NAME", "VALUE", "CHANGED")

names_argument = click.argument("names", metavar="NAME...", nargs=-1, required=True)


class Where(TypedDict):
    environment: str | None
    deployment: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the API has some variables, and what people call their owner."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    title: str

    def of(self, name: str) -> str:
        return f"{self.path}/env-vars/{quote(name, safe='')}"


def place_options(function: F) -> F:
    """Add --environment and --deployment."""
    environment = click.option(
        "--environment", metavar="NAME", help="Those of one environment, which win over the app's."
    )
    deployment = click.option(
        "--deployment", metavar="vN", help="A version's own, which win over all others; vN or an id."
    )
    return environment(deployment(function))


def place_of(client: Client, name: AppName, environment: str | None, deployment: str | None) -> Place:
    """Find what the options name. Raises Problem if it is not there."""
    if environment is not None and deployment is not None:
        raise click.UsageError("--environment and --deployment name two places", click.get_current_context())
    app = apps.find(client, name)
    if deployment is not None:
        return _of_deployment(client, app, deployment)
    path = f"/api/v1/apps/{app.id}"
    if environment is not None:
        return Place(path=path, query={"environment": environment}, title=f"{name} in {environment}")
    return Place(path=path, title=str(name))


def listed(session: Session, place: Place) -> tuple[Variable, ...]:
    """Read the variables of a place; with --json, print the answer as it is."""
    raw = session.client.get(f"{place.path}/env-vars", place.query)
    if session.as_json:
        output.document(raw)
    return decode(raw, VariableList).variables


def show(session: Session, variables: tuple[Variable, ...], *, nothing: str) -> None:
    """Print a table for people."""
    if session.as_json:
        return
    if not variables:
        session.say(nothing)
        return
    output.table(HEADERS, [(each.name, _value(each), output.ago(each.updated_at)) for each in variables])


def change(session: Session, place: Place, env: Mapping[str, str | None], *, secret: bool | None) -> None:
    """Set and, by None, forget variables at once."""
    body = {"env": env, "secret": secret}
    raw = session.client.call("PATCH", f"{place.path}/env-vars", body=body, query=place.query)
    if session.as_json:
        output.document(raw)


def remove(session: Session, place: Place, names: tuple[str, ...]) -> None:
    """Forget variables at once. Raises Problem if one is not there."""
    known = decode(session.client.get(f"{place.path}/env-vars", place.query), VariableList).variables
    missing = set(names) - {each.name for each in known}
    if missing:
        raise Problem(
            f"no variable of {place.title} is called {min(missing)}", code="VARIABLE_NOT_FOUND", hint=None
        )
    change(session, place, dict.fromkeys(names), secret=None)
    session.say(f"{', '.join(names)} of {place.title} {'is' if len(names) == 1 else 'are'} forgotten")


def import_file(session: Session, place: Place, path: Path, *, secret: bool | None) -> None:
    """Lay the variables of a .env file, or of standard input, over those of a place."""
    query = {**place.query} | ({} if secret is None else {"secret": str(secret).lower()})
    try:
        with click.open_file(str(path), "rb") as file:
            content = file.read()
    except OSError as error:
        raise Problem(f"cannot read {path}: {error.strerror}") from error
    raw = session.client.call(
        "POST",
        f"{place.path}/env-file",
        content=content,
        headers={"Content-Type": "text/plain; charset=utf-8"},
        query=query,
    )
    if session.as_json:
        output.document(raw)
    session.say(f"the variables of {path} are set for {place.title}")


def _of_deployment(client: Client, app: App, named: str) -> Place:
    version = re.fullmatch(r"v?([1-9]\d{0,8})", named)
    for each in apps.deployments(client, app):
        if each.id == named or (version is not None and each.version == int(version[1])):
            path = f"/api/v1/deployments/{each.id}"
            return Place(path=path, title=f"version {each.version} of {app.title}")
    raise Problem(
        f"no version of {app.title} is called {named}", hint=f"`paas releases {app.title}` lists them"
    )


def _value(variable: Variable) -> str:
    if variable.secret:
        return "(secret)"
    return "(taken away)" if variable.value is None else variable.value
