"""The command `paas`: its verbs, loaded when they are called."""

import importlib
from collections.abc import Mapping

import click

from paas import __version__
from paas.cli.problems import colour_choice
from paas.cli.session import common_options

PROGRAM = "paas"
# Modules are named here and imported when used, so that `paas ps` does not pay for the others.
VERBS: Mapping[str, str] = {
    "serve": "paas.cli.serve",
    "try": "paas.cli.try_out",
    "init": "paas.cli.init",
    "deploy": "paas.cli.deploy",
    "builds": "paas.cli.builds",
    "ps": "paas.cli.looking",
    "status": "paas.cli.looking",
    "top": "paas.cli.top",
    "environments": "paas.cli.environments",
    "env": "paas.cli.variables",
    "secrets": "paas.cli.secrets",
    "releases": "paas.cli.releases",
    "promote": "paas.cli.releases",
    "rollback": "paas.cli.releases",
    "logs": "paas.cli.streams",
    "events": "paas.cli.streams",
    "doctor": "paas.cli.doctor",
    "registry": "paas.cli.registries",
    "source": "paas.cli.sources",
    "trigger": "paas.cli.trigger",
    "scale": "paas.cli.steering",
    "wake": "paas.cli.steering",
    "sleep": "paas.cli.steering",
    "stop": "paas.cli.ending",
    "restart": "paas.cli.steering",
    "rm": "paas.cli.ending",
    "open": "paas.cli.looking",
    "completion": "paas.cli.completion",
}


class Verbs(click.Group):
    """A group whose commands live in modules of their own: `ps` is `looking.ps_command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in VERBS:
            return None
        command: click.Command = getattr(importlib.import_module(VERBS[cmd_name]), f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not ctx.resilient_parsing:
            raise click.UsageError(f"no command is called {args[0]}{_nearest(args[0])}", ctx)
        return super().resolve_command(ctx, args)


def _nearest(word: str) -> str:
    import difflib  # noqa: PLC0415 - only a typing error should pay for it

    close = difflib.get_close_matches(word, VERBS, n=1)
    return f"; did you mean {close[0]}?" if close else ""


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Environment: PAAS_API_URL, or ZECTRE_API_URL, names the agent's API; NO_COLOR turns colours off.",
)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
@common_options
@click.pass_context
def paas(ctx: click.Context) -> None:
    """Deploy programs to an agent that lets them sleep and wakes them on their first request."""
    ctx.color = colour_choice()


def main() -> None:
    """Run the command of this process's arguments and end with its exit code.

    0: done. 1: it failed. 2: the command line is wrong. 130: Ctrl-C.
    """
    paas.main(prog_name=PROGRAM)
