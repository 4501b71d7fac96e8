"""The shell script that one build is, and what it takes from there to a program's Procfile."""

import functools
import marshal
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path

from paas.builders.archive import PROCFILE, PROCFILE_LIMIT
from paas.builders.procfile import commands_of
from paas.builders.recipe_table import OWN_FOLDER, STATIC_SERVER
from paas.builders.sandbox import Folders
from paas.core.command_lines import PROFILE, shell_line

SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
STEP = "step"  # the file that says which command runs, in the temporary folder
# Each command has a shell of its own, so that `cd` in one moves no other.
_RUN = """\
run() {
	echo "$1" >"$STEP_FILE"
	printf '$ %s\\n' "$2"
	(set -e; eval "$2")
	code=$?
	[ $code = 0 ] || exit $code
}
"""


def script(
    commands: Sequence[str], folders: Folders, environment: Mapping[str, str], functions: Path
) -> bytes:
    """Write the script of a build. Names that no shell can export are left out."""
    named = {
        name: value for name, value in environment.items() if SHELL_NAME.match(name) and "\0" not in value
    }
    lines = [
        "umask 022",
        *(f"export {name}={shlex.quote(value)}" for name, value in named.items()),
        f"STEP_FILE={shlex.quote(str(folders.temporary / STEP))}",
        f"cd {shlex.quote(str(folders.tree))} || exit 126",
        f"mkdir -p {OWN_FOLDER} || exit 126",
        f". {shlex.quote(str(functions))}",
        _RUN,
        *(f"run {number} {shlex.quote(command)}" for number, command in enumerate(commands)),
        "",
    ]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def procfile(tree: Path, start: str | None) -> bytes | None:
    """Make the Procfile of what was built: the tree's, with `start` as its `web`; None if that is empty.

    Whatever the build has put into its profile comes before each command. Blocks; raises BadArchive, OSError.
    """
    lines = commands_of(_read(tree / PROCFILE).decode("utf-8", "replace"))
    if start is not None:
        lines["web"] = start
    if not lines:
        return None
    has_profile = bool(_read(tree / PROFILE))
    return "".join(
        f"{name}: {_after_profile(command) if has_profile else command}\n" for name, command in lines.items()
    ).encode()


def added_files(tree: Path, start: str | None) -> dict[str, bytes]:
    """Give the files that a program has besides what its build has made."""
    added = {}
    text = procfile(tree, start)
    if text is not None:
        added[PROCFILE] = text
        if STATIC_SERVER.encode() in text:
            added |= _static_server()
    return added


@functools.cache
def _static_server() -> dict[str, bytes]:
    """Give the server's source, and its compiled form for a `python3` of the agent's own version."""
    name = f"{STATIC_SERVER}.py"
    path = f"{OWN_FOLDER}/{name}"
    source = Path(__file__).with_name(name).read_bytes()
    code = marshal.dumps(compile(source, path, "exec"))
    # PEP 552: found by its version, and never compared with the source.
    header = MAGIC_NUMBER + (1).to_bytes(4, "little") + source_hash(source)
    compiled = f"{OWN_FOLDER}/__pycache__/{STATIC_SERVER}.{sys.implementation.cache_tag}.pyc"
    return {path: source, compiled: header + code}


def _after_profile(command: str) -> str:
    return f". ./{PROFILE}; {shell_line(command)}"


def _read(path: Path) -> bytes:
    """Read a small file of a build's; nothing if it is none, or a link."""
    if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(PROCFILE_LIMIT)
