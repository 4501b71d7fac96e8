"""What every verb shares: where the API is, and whether a person or a program reads the answer."""

import functools
import os
import sys
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import click

from paas.cli.problems import INTERRUPTED, Problem

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., object])

DEFAULT_API_URL = "http://127.0.0.1:47080"
API_URL, AS_JSON = "paas.api_url", "paas.json"  # keys of click's context, shared by group and verb


class Session:
    """One run of one verb."""

    def __init__(self, *, api_url: str, as_json: bool) -> None:
        from paas.cli.client import Client  # noqa: PLC0415 - `paas --help` needs no HTTP

        self.client = Client(api_url)
        self.as_json = as_json

    def say(self, text: str = "") -> None:
        """Print a line for people; with --json there are none."""
        if not self.as_json:
            click.echo(text)


def api_url(given: str | None) -> str:
    """Choose the API's address: the option, then the two variables, then the usual port."""
    return given or os.environ.get("PAAS_API_URL") or os.environ.get("ZECTRE_API_URL") or DEFAULT_API_URL


def current_session() -> Session:
    meta = click.get_current_context().meta
    return Session(api_url=api_url(meta.get(API_URL)), as_json=bool(meta.get(AS_JSON)))


def is_terminal() -> bool:
    """Say whether somebody is there who can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def common_options(function: F) -> F:
    """Add --api-url and --json; the group and every verb take both, the verb's wins."""
    url = click.option(
        "--api-url",
        metavar="URL",
        expose_value=False,
        callback=functools.partial(_remember, API_URL),
        help=f"The agent's API.  [default: $PAAS_API_URL, $ZECTRE_API_URL or {DEFAULT_API_URL}]",
    )
    as_json = click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=functools.partial(_remember, AS_JSON),
        help="Print the API's JSON: one document, or one a line where it goes on.",
    )
    return url(as_json(function))


def verb(function: Callable[Concatenate[Session, P], None]) -> Callable[P, None]:
    """Make a function of a session a verb: adds the common options, and says how it ended."""

    @common_options
    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        session = current_session()
        try:
            function(session, *args, **kwargs)
        except Problem as problem:
            problem.as_json = session.as_json
            raise
        except (KeyboardInterrupt, click.Abort):
            stopped = Problem("stopped by Ctrl-C", code="INTERRUPTED", exit_code=INTERRUPTED)
            stopped.as_json = session.as_json
            raise stopped from None

    return run


def _remember(key: str, ctx: click.Context, parameter: click.Parameter, value: object) -> None:
    del parameter
    if value:
        ctx.meta[key] = value
