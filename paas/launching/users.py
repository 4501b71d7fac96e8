"""Run a program as another user, who gains nothing that its ids do not give."""

import os
import shutil
from pathlib import Path

from paas.core.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Another user, by its ids; it needs no name."""

    uid: int
    gid: int

    def give(self, path: Path) -> None:
        """Make a file or folder the user's own; a link itself, not what it leads to."""
        os.chown(path, self.uid, self.gid, follow_symlinks=False)


def unprivileged() -> tuple[str, ...]:
    """Give what is put before a command to run it as ourselves, but without what a service may be given."""
    setpriv = shutil.which("setpriv") or "/usr/bin/setpriv"
    return (setpriv, "--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all")


def as_user(user: User | None) -> tuple[str, ...]:
    """Give what is put before a command to run it as a user without any privilege; None: as ourselves."""
    if user is None:
        return ()
    setpriv = shutil.which("setpriv") or "/usr/bin/setpriv"
    return (
        setpriv,
        f"--reuid={user.uid}",
        f"--regid={user.gid}",
        "--clear-groups",
        "--no-new-privs",
        "--inh-caps=-all",
        "--bounding-set=-all",
    )
