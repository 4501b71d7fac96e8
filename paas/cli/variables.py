"""env: what an app is told, by name and value."""

from pathlib import Path
from typing import TypedDict, Unpack

import click

from paas.cli import variable_places as places
from paas.cli.apps import AppName, app_argument
from paas.cli.deploy_options import Variable
from paas.cli.session import Session, verb
from paas.cli.variable_places import Place

MANY = 1000
ACTIONS = {"list": (0, 0), "set": (1, MANY), "rm": (1, MANY), "import": (1, 1), "export": (0, 0)}


class EnvOptions(TypedDict):
    environment: str | None
    deployment: str | None
    secret: bool


@click.command("env")
@app_argument
@click.argument("action", metavar=f"[{'|'.join(ACTIONS)}]", type=click.Choice(list(ACTIONS)), default="list")
@click.argument("given", metavar="[K=V... | K... | FILE]", nargs=-1)
@places.place_options
@click.option("--secret", is_flag=True, help="With import: keep them as secrets.")
@verb
def env_command(
    session: Session, name: AppName, action: str, given: tuple[str, ...], **options: Unpack[EnvOptions]
) -> None:
    """List, set and forget the variables of APP; what differs replaces its tasks one after the other.

    \b
    list           names and values; secrets without theirs
    set K=V...     sets some at once; for secrets there is `paas secrets set`
    rm K...        forgets some at once
    import FILE    sets those of a .env file at once; - is standard input
    export         prints them as a .env file; secrets are only named

    Those of an environment win over the app's, a version's own over both.
    """
    least, most = ACTIONS[action]
    if not least <= len(given) <= most:
        raise click.UsageError(f"{action} does not take {len(given)} arguments", click.get_current_context())
    place = places.place_of(session.client, name, options["environment"], options["deployment"])
    match action:
        case "set":
            _set(session, place, given)
        case "rm":
            places.remove(session, place, given)
        case "import":
            places.import_file(session, place, Path(given[0]), secret=options["secret"] or None)
        case "export" if not session.as_json:
            click.echo(session.client.get(f"{place.path}/env-file", place.query).decode(), nl=False)
        case _:
            found = places.listed(session, place)
            places.show(session, found, nothing=f"No variables yet: paas env {name} set K=V")


def _set(session: Session, place: Place, given: tuple[str, ...]) -> None:
    kind = Variable()
    pairs = dict(kind.convert(each, None, click.get_current_context()) for each in given)
    places.change(session, place, pairs, secret=None)
    session.say(f"{', '.join(pairs)} of {place.title} {'is' if len(pairs) == 1 else 'are'} set")
