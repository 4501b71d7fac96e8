"""secrets: variables whose values are never shown again, and the key that keeps them."""

import sys
from pathlib import Path
from typing import Unpack

import click
import msgspec

from paas.cli import output
from paas.cli.apps import AppName, app_argument
from paas.cli.client import decode
from paas.cli.problems import Problem
from paas.cli.session import Session, common_options, is_terminal, verb
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

LARGEST_BYTES = 1024 * 1024  # of a value; the API takes less
ROTATE_SECONDS = 300.0


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    sealed_anew: int


@click.group("secrets")
@common_options
def secrets_command() -> None:
    """Set variables whose values are never shown again, and change the key that keeps them."""


@secrets_command.command("list")
@app_argument
@place_options
@verb
def list_command(session: Session, name: AppName, **options: Unpack[Where]) -> None:
    """List the secrets of APP, without their values."""
    found = listed(session, place_of(session.client, name, **options))
    show(
        session,
        tuple(each for each in found if each.secret),
        nothing=f"No secrets yet: paas secrets set {name} NAME",
    )


@secrets_command.command("set")
@app_argument
@names_argument
@place_options
@verb
def set_command(session: Session, name: AppName, names: tuple[str, ...], **options: Unpack[Where]) -> None:
    """Set secrets of APP at once: asks for each value, or reads that of one from standard input."""
    place = place_of(session.client, name, **options)
    change(session, place, _values(names), secret=True)
    session.say(f"{', '.join(names)} of {place.title} {'is' if len(names) == 1 else 'are'} set")


@secrets_command.command("rm")
@app_argument
@names_argument
@place_options
@verb
def rm_command(session: Session, name: AppName, names: tuple[str, ...], **options: Unpack[Where]) -> None:
    """Forget secrets of APP at once."""
    remove(session, place_of(session.client, name, **options), names)


@secrets_command.command("import")
@app_argument
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@place_options
@verb
def import_command(session: Session, name: AppName, file: Path, **options: Unpack[Where]) -> None:
    """Set the secrets of a .env FILE at once; - is standard input. Others stay."""
    import_file(
        session,
        place_of(session.client, name, **options),
        file,
        secret=True,
    )


@secrets_command.command("rotate-key")
@verb
def rotate_key_command(session: Session) -> None:
    """Encrypt all that is secret with a new key, and forget the old one. Tasks run on."""
    raw = session.client.call("POST", "/api/v1/secrets/rotate-key", timeout=ROTATE_SECONDS)
    if session.as_json:
        output.document(raw)
    session.say(f"{decode(raw, Rotated).sealed_anew} values are encrypted with a new key; back it up")


def _values(names: tuple[str, ...]) -> dict[str, str]:
    """Ask for the values, of which none may stand on a command line: others can read that."""
    for name in names:
        if "=" in name:
            raise Problem(
                f"cannot set {name.partition('=')[0]}: a command line is no place for a secret",
                hint="give the name alone; the value is asked for, or read from standard input",
            )
    if is_terminal():
        return {name: click.prompt(name, hide_input=True, err=True) for name in names}
    if len(names) > 1:
        raise Problem(
            "cannot read several values from one standard input",
            hint="set one at a time, or `paas secrets import APP -` with lines of NAME=value",
        )
    try:
        return {names[0]: sys.stdin.buffer.read(LARGEST_BYTES).decode().rstrip("\r\n")}
    except UnicodeDecodeError:
        raise Problem(f"cannot read the value of {names[0]}: it is not UTF-8") from None
