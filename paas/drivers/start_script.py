"""The shell lines that turn a launcher into one task; `launch.sh` is sent them.

They hold the task's variables, and so are on no disk.
"""

import math
import os
import re
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from paas.core.errors import StartFailed
from paas.core.ids import TaskId
from paas.core.model import TaskSpec
from paas.core.records import dataclass, replace
from paas.launching.limits import memory_by_rlimit

HOST = "127.0.0.1"
MOST_AHEAD = 64  # some kilobytes each
INHERITED = ("PATH", "LANG", "TZ")

# Names that a shell cannot export as they are: not its kind of name, or with a meaning to it.
SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
SHELL_OWN = frozenset(
    {"BASHOPTS", "EUID", "IFS", "LINENO", "OLDPWD", "OPTARG", "OPTIND", "PPID", "PS1", "PS2", "PS4"}
    | {"PWD", "RANDOM", "SECONDS", "SHELLOPTS", "SHLVL", "UID", "_"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where one task finds its things."""

    program: Path
    home: Path
    temporary: Path
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitByShell:
    """Which limits the shell must set, since no control group does."""

    memory: bool
    cpu: bool


def environment(spec: TaskSpec, places: Places, agents: Mapping[str, str]) -> dict[str, str]:
    """Make a task's environment but for PORT, which comes with the order to start.

    What the user sets wins, but never over PORT, HOST and TASK_ID.
    """
    return {
        **{name: agents[name] for name in INHERITED if name in agents},
        "HOME": str(places.home),
        "TMPDIR": str(places.temporary),
        **spec.env,
        **({"HOST": HOST} if spec.listens else {}),
        "TASK_ID": spec.task_id,
    }


@dataclass(frozen=True, slots=True)
class Script:
    """What a launcher is told of a task, in two parts, since the first needs nothing that a start decides.

    A launcher that is told only that part ends well, and has left nothing on record.
    """

    ahead: bytes
    task_id: TaskId
    listens: bool
    program: str  # its folder
    command: str

    def rest(self, port: int) -> bytes:
        """Write the second part, which notes in the run's record that it begins, and runs the program."""
        lines = [
            f"cd {_quoted(f'./{self.task_id}')} && echo begun {port} >&9 || exit 0",
            "exec 9>&-",
            f"cd {self.program} || exit 126",
            *([f"export PORT={port}"] if self.listens else []),
            "unset PWD OLDPWD SHLVL",
            self.command,
            "",
        ]
        return "\n".join(lines).encode("utf-8", "surrogateescape")


def render(
    spec: TaskSpec, places: Places, by_shell: LimitByShell, agents: Mapping[str, str] = os.environ
) -> Script:
    """Write what a launcher is told. Raises StartFailed for what no process can have."""
    variables = environment(spec, places, agents)
    variables.pop("PORT", None)
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name + value:
            raise StartFailed(f"cannot start task {spec.task_id}: {name!r} cannot be an environment variable")
    plain = {name for name in variables if SHELL_NAME.match(name) and name not in SHELL_OWN}
    lines = [
        f"exec </dev/null >>{_quoted(places.log)} 2>&1",
        *_limits(spec, by_shell),
        *(f"export {name}={_quoted(variables[name])}" for name in variables if name in plain),
        "",
    ]
    return Script(
        ahead="\n".join(lines).encode("utf-8", "surrogateescape"),
        task_id=spec.task_id,
        listens=spec.listens,
        program=_quoted(places.program),
        command=_command(spec, {name: value for name, value in variables.items() if name not in plain}),
    )


class Scripts:
    """Renders what tasks will read ahead of their start, for the few that were prepared last."""

    def __init__(self, write: Callable[[TaskSpec], Script]) -> None:
        """Take what renders one, for any port: that comes with the order."""
        self._write = write
        self._ahead: dict[TaskId, tuple[TaskSpec, Script]] = {}

    def prepare(self, spec: TaskSpec) -> None:
        """Render it now. Raises StartFailed."""
        self._ahead[spec.task_id] = replace(spec, port=0), self._write(spec)
        if len(self._ahead) > MOST_AHEAD:
            del self._ahead[next(iter(self._ahead))]

    def find(self, task_id: TaskId) -> Script | None:
        prepared = self._ahead.get(task_id)
        return None if prepared is None else prepared[1]

    def take(self, spec: TaskSpec) -> Script:
        """Give the one that was rendered, unless the task is told something else now. Raises StartFailed."""
        prepared = self._ahead.pop(spec.task_id, None)
        if prepared is not None and prepared[0] == replace(spec, port=0):
            return prepared[1]
        return self._write(spec)

    def forget(self, task_id: TaskId) -> None:
        self._ahead.pop(task_id, None)


def _limits(spec: TaskSpec, by_shell: LimitByShell) -> list[str]:
    """Lower the limits; one that cannot be set is lower already."""
    lines = []
    if by_shell.memory:
        lines.append(f"ulimit -d {memory_by_rlimit(spec.memory_bytes) // 1024} 2>/dev/null || :")
    if by_shell.cpu and spec.max_runtime_secs is not None:
        seconds = math.ceil(spec.max_runtime_secs * max(1, spec.cpu_millis / 1000))
        lines.append(f"ulimit -t {seconds} 2>/dev/null || :")
    return lines


def _command(spec: TaskSpec, unusual: Mapping[str, str]) -> str:
    words = list(spec.command)
    if unusual:
        env = shutil.which("env") or "/usr/bin/env"
        words = [env, *(f"{name}={value}" for name, value in unusual.items()), *words]
    return "exec " + " ".join(map(_quoted, words))


def _quoted(word: str | Path) -> str:
    return shlex.quote(str(word))
