"""Command lines as people write them, and the argv that runs them. Pure."""

import re
import shlex

from paas.core.spec import ProcessType

PROFILE = ".paas/profile"  # of a program: shell lines that its build wants before each of its commands

# What a shell must see whole. Everything else is one command, and `exec` spares its shell.
_SYNTAX = re.compile(r"[;&|<>()`{}!#]|\$\(|^\s*\w+=")
_WORDS = frozenset(
    {"exec", "cd", "export", "unset", "set", "source", ".", "eval", "trap", "umask", "ulimit"}
    | {"if", "while", "until", "for", "case", "wait", "exit"}
)


def argv_of(command: str, process_type: ProcessType) -> tuple[str, ...]:
    """Say how a command line runs: natively in a shell, in a container as the words that it has.

    Natively it finds what the program's build has installed.

    An image may have no shell; its entry point gets the words as it gets its usual command. Raises
    ValueError for quotes that do not end.
    """
    if process_type == "docker":
        return tuple(shlex.split(command))
    return in_shell(f"if [ -r {PROFILE} ]; then . ./{PROFILE}; fi; {shell_line(command)}")


def in_shell(command: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", shell_line(command))


def shell_line(command: str) -> str:
    """Let the shell give way to a plain command, so that signals and memory are the program's own."""
    if _SYNTAX.search(command) or command.split(maxsplit=1)[0] in _WORDS:
        return command
    return f"exec {command}"
