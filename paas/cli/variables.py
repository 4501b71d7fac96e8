"""env: what an app is told, by name and value."""

from pathlib import Path
from typing import Unpack

import click

from paas.cli.apps import AppName, app_argument
from paas.cli.deploy_options import Variable
from paas.cli.session import Session, common_options, verb
from paas.cli.variable_places import (
    Where,
    change,
    import_file,
    listed,
    names_argument,
    place_of,
    place_options,
    remove,
    show,
)


@click.group("env")
@common_options
def env_command() -> None:
    """List, set and forget the variables of an app.

    What differs replaces its tasks one after the other. Those of an environment win over the app's, a
    version's own over both.
    """


@env_command.command("list")
@app_argument
@place_options
@verb
def list_command(session: Session, name: AppName, **options: Unpack[Where]) -> None:
    """List the variables of APP; secrets without their values."""
    found = listed(session, place_of(session.client, name, **options))
    show(session, found, nothing=f"No variables yet: paas env set {name} K=V")


@env_command.command("set")
@app_argument
@click.argument("pairs", metavar="K=V...", nargs=-1, required=True, type=Variable())
@place_options
@verb
def set_command(
    session: Session, name: AppName, pairs: tuple[tuple[str, str], ...], **options: Unpack[Where]
) -> None:
    """Set variables of APP at once; for secrets there is `paas secrets set`."""
    place = place_of(session.client, name, **options)
    env = dict(pairs)
    change(session, place, env, secret=None)
    session.say(f"{', '.join(env)} of {place.title} {'is' if len(env) == 1 else 'are'} set")


@env_command.command("rm")
@app_argument
@names_argument
@place_options
@verb
def rm_command(session: Session, name: AppName, names: tuple[str, ...], **options: Unpack[Where]) -> None:
    """Forget variables of APP at once."""
    remove(session, place_of(session.client, name, **options), names)


@env_command.command("import")
@app_argument
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@place_options
@click.option("--secret", is_flag=True, help="Keep them as secrets.")
@verb
def import_command(
    session: Session, name: AppName, file: Path, *, secret: bool, **options: Unpack[Where]
) -> None:
    """Set the variables of a .env FILE at once; - is standard input. Others stay."""
    import_file(session, place_of(session.client, name, **options), file, secret=secret or None)


@env_command.command("export")
@app_argument
@place_options
@verb
def export_command(session: Session, name: AppName, **options: Unpack[Where]) -> None:
    """Print the variables of APP as a .env file; secrets are only named."""
    place = place_of(session.client, name, **options)
    if session.as_json:
        listed(session, place)
    else:
        click.echo(session.client.get(f"{place.path}/env-file", place.query).decode(), nl=False)
