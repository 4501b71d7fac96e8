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


def begin(task_id: TaskId, port: int) -> bytes:
    """Write the first lines: they enter the run's folder, note in its record that it begins, set `port`."""
    enter = f"cd {_quoted(f'./{task_id}')} && echo begun {port} >&9 || exit 0"
    return f"{enter}\nexec 9>&-\nport={port}\n".encode()


def render(
    spec: TaskSpec, places: Places, by_shell: LimitByShell, agents: Mapping[str, str] = os.environ
) -> bytes:
    """Write what the launcher reads after `begin`. Raises StartFailed for what no process can have."""
    variables = environment(spec, places, agents)
    variables.pop("PORT", None)
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name + value:
            raise StartFailed(f"cannot start task {spec.task_id}: {name!r} cannot be an environment variable")
    plain = {name for name in variables if SHELL_NAME.match(name) and name not in SHELL_OWN}
    lines = [
        f"exec </dev/null >>{_quoted(places.log)} 2>&1",
        f"cd {_quoted(places.program)} || exit 126",
        *_limits(spec, by_shell),
        *(f"export {name}={_quoted(variables[name])}" for name in variables if name in plain),
        *(['export PORT="$port"'] if spec.listens else []),
        "unset PWD OLDPWD SHLVL",
        _command(spec, {name: value for name, value in variables.items() if name not in plain}),
        "",
    ]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


class Scripts:
    """Renders what tasks will read ahead of their start, for the few that were prepared last."""

    def __init__(self, write: Callable[[TaskSpec], bytes]) -> None:
        """Take what renders one, for any port: that comes with the order."""
        self._write = write
        self._ahead: dict[TaskId, tuple[TaskSpec, bytes]] = {}

    def prepare(self, spec: TaskSpec) -> None:
        """Render it now. Raises StartFailed."""
        self._ahead[spec.task_id] = replace(spec, port=0), self._write(spec)
        if len(self._ahead) > MOST_AHEAD:
            del self._ahead[next(iter(self._ahead))]

    def take(self, spec: TaskSpec) -> bytes:
        """Give the one that was rendered, unless the task is told something else now. Raises StartFailed."""
        prepared, script = self._ahead.pop(spec.task_id, (None, b""))
        return script if prepared == replace(spec, port=0) else self._write(spec)

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
