"""completion: the script that teaches a shell the verbs, the options and the apps."""

import click
from click.shell_completion import get_completion_class

from paas.cli.problems import Problem

PROGRAM = "paas"
VARIABLE = "_PAAS_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of bash or zsh.

    For bash: eval "$(paas completion bash)" in ~/.bashrc. For zsh: eval "$(paas completion zsh)"
    in ~/.zshrc, after compinit.
    """
    kind = get_completion_class(shell)
    root = ctx.find_root().command
    if kind is None:
        raise Problem(f"cannot complete in {shell}")
    click.echo(kind(root, {}, PROGRAM, VARIABLE).source())
