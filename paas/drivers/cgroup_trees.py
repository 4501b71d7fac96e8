"""Where the control groups of a process are, in trees of both versions."""

import functools
from collections.abc import Mapping
from pathlib import Path


def groups_of(pid: int) -> Mapping[str, Path]:
    """Map each controller of version 1, and "" for version 2, to the folder of a process's group.

    Roots of trees are left out: every process of the machine may be in those. Empty if it has ended.
    """
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return {}
    found = {}
    for _, controllers, group in (line.split(":", 2) for line in lines):
        for controller in controllers.split(","):
            tree = _trees().get(controller)
            if tree is not None and group.strip("/"):
                found[controller] = tree / group.lstrip("/")
    return found


@functools.cache
def _trees() -> Mapping[str, Path]:
    """Find where the trees are mounted."""
    found: dict[str, Path] = {}
    with Path("/proc/self/mountinfo").open() as mounts:
        for line in mounts:
            place, _, what = line.partition(" - ")
            kind, _, options = what.split(maxsplit=2)
            if kind == "cgroup2":
                found.setdefault("", Path(place.split()[4]))
            elif kind == "cgroup":
                for option in options.strip().split(","):
                    found.setdefault(option, Path(place.split()[4]))
    return found
