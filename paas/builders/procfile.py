"""Read a Procfile: a line a process, `name: command`."""

import re

from paas.core.command_lines import in_shell
from paas.core.errors import BadArchive
from paas.core.model import Built
from paas.core.spec import PROCESS_NAME, RELEASE, WEB

_LINE = re.compile(r"([A-Za-z0-9_-]+)[ \t]*:(.*)")
_NAME = re.compile(PROCESS_NAME)


def built_of(text: str) -> Built:
    """Say what a program with this Procfile runs. Raises BadArchive."""
    commands = commands_of(text)
    web = commands.pop(WEB, None)
    if web is None:
        raise BadArchive(
            "cannot build the artifact: its Procfile has no `web:` line",
            hint="add a line such as `web: ./server --port $PORT`",
        )
    release = commands.pop(RELEASE, None)
    return Built(
        command=in_shell(web),
        processes={name: in_shell(command) for name, command in commands.items()},
        release=None if release is None else in_shell(release),
    )


def commands_of(text: str) -> dict[str, str]:
    """Map processes to their lines, the first of each; what does not read like one is skipped.

    Raises BadArchive.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.match(line.strip())
        if match is None or not match[2].strip():
            continue
        if not _NAME.fullmatch(match[1]):
            raise BadArchive(
                f"cannot build the artifact: its Procfile names a process {match[1]}",
                hint="name it with up to 30 lower-case letters, digits and hyphens, a letter first",
            )
        found.setdefault(match[1], match[2].strip())
    return found
