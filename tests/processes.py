"""What lives on this machine, as /proc tells it: found without asking the agent."""

import contextlib
import os
from pathlib import Path


def processes_of(state: Path) -> list[int]:
    """Find every living process that belongs to tasks of this state directory.

    By its variables, its program or where it stands: some, as Redis, write over their own variables.
    """
    found = []
    mark = f"{state}/".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes()
            told = (entry / "environ").read_bytes()
            places = [f"{(entry / link).readlink()}/" for link in ("exe", "cwd")]
            is_its_own = (
                mark in told
                or any(place.startswith(f"{state}/") for place in places)
                or (mark in line and b"serve" not in line)
            )
            if is_its_own and is_alive(int(entry.name)):
                found.append(int(entry.name))
    return found


def is_launcher(pid: int) -> bool:
    """Say whether a process waits for a task to start; one that ended meanwhile is no task's either."""
    with contextlib.suppress(OSError):
        return b"launch.sh" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return True


def is_alive(pid: int) -> bool:
    """Say whether a process runs; a zombie that nobody reaped yet does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")
