"""What a build sees of the machine: with bubblewrap its own folders and the system's programs, else more.

Where the agent is root, the build is another user in either case.
"""

import asyncio
import glob
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from paas.core.records import dataclass
from paas.launching import children
from paas.launching.users import User, as_user, unprivileged

INSIDE = Path("/build")  # where a build finds its workspace
PROBE_SECS = 10.0
NICENESS = 10
SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# Of /etc what programs need to find names, users, certificates and their settings; no secrets are in it.
SETTINGS = (
    *(
        "alternatives",
        "ca-certificates",
        "debian_version",
        "gai.conf",
        "gitconfig",
        "group",
        "host.conf",
        "hosts",
    ),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "npmrc", "nsswitch.conf"),
    *("os-release", "passwd", "pip.conf", "pki", "protocols", "python3*", "resolv.conf", "services", "ssl"),
    *("hosts", "timezone", "uv"),
)
SPACES = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where a build works, seen from one side."""

    workspace: Path
    tree: Path

    @property
    def home(self) -> Path:
        return self.workspace / "home"

    @property
    def temporary(self) -> Path:
        return self.workspace / "tmp"

    @property
    def memory(self) -> Path:
        """What stands for /dev/shm: on disk, where it is counted."""
        return self.workspace / "shm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """How builds are kept apart on this machine."""

    user: User | None  # None: the agent's own
    bwrap: str | None  # None: there is none that works
    readable: tuple[str, ...] = ()  # folders that an owner lets builds see besides

    def inside(self, outside: Folders) -> Folders:
        """Say where a build finds its folders."""
        if self.bwrap is None:
            return outside
        return Folders(workspace=INSIDE, tree=INSIDE / "source")

    def command(self, folders: Folders, program: Sequence[str]) -> tuple[str, ...]:
        """Give what runs a program in here. The environment that it is started with is nobody's secret."""
        nice = shutil.which("nice") or "/usr/bin/nice"
        nicely = (nice, "-n", str(NICENESS), *program)
        if self.user is None:
            own = ("--unshare-user", "--disable-userns")
            wrapped = () if self.bwrap is None else (self.bwrap, *SPACES, *own, *self._view(folders), "--")
            return (*unprivileged(), *wrapped, *nicely)
        plain = (*as_user(self.user), *nicely)
        if self.bwrap is None:
            return plain
        return (self.bwrap, *SPACES, "--cap-drop", "ALL", *_rights(), *self._view(folders), "--", *plain)

    def _view(self, folders: Folders) -> Iterator[str]:
        yield from ("--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev")
        for name in SYSTEM:
            path = Path("/", name)
            if path.is_symlink():
                yield from ("--symlink", str(path.readlink()), str(path))
            elif path.is_dir():
                yield from ("--ro-bind", str(path), str(path))
        # Folders that bubblewrap has to make for others are closed to all but root.
        above = {str(parent) for folder in self.readable for parent in Path(folder).parents[:-1]}
        for folder in ("/etc", "/var", *sorted(above)):
            yield from ("--dir", folder)
        for pattern in SETTINGS:
            for found in sorted(glob.glob(f"/etc/{pattern}")):  # noqa: PTH207 - as it is spelt
                yield from ("--ro-bind-try", found, found)
        for folder in self.readable:
            yield from ("--ro-bind-try", folder, folder)
        yield from ("--bind", str(folders.workspace), str(INSIDE))
        yield from ("--bind", str(folders.tree), str(INSIDE / "source"))
        for place in ("/tmp", "/var/tmp"):  # noqa: S108 - the build's own
            yield from ("--bind", str(folders.temporary), place)
        yield from ("--bind", str(folders.memory), "/dev/shm")  # noqa: S108 - likewise
        yield from ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/")


async def find_sandbox(user: User | None, readable: tuple[str, ...], trial: Path) -> Sandbox:
    """Try bubblewrap, in an empty folder of ours; containers and some systems forbid what it does."""
    plain = Sandbox(user=user, bwrap=None, readable=readable)
    path = shutil.which("bwrap", path=f"{os.environ.get('PATH', '')}:{children.PLAIN_ENVIRONMENT['PATH']}")
    if path is None:
        return plain
    wrapped = Sandbox(user=user, bwrap=path, readable=readable)
    folders = Folders(workspace=trial, tree=trial / "source")
    await asyncio.to_thread(_make, folders)
    try:
        async with asyncio.timeout(PROBE_SECS):
            code, _ = await children.run(wrapped.command(folders, ("/bin/sh", "-c", "exit 0")))
    except (OSError, TimeoutError):
        return plain
    finally:
        await children.delete(trial)
    return plain if code else wrapped


def _make(folders: Folders) -> None:
    for folder in (folders.tree, folders.home, folders.temporary, folders.memory):
        folder.mkdir(parents=True, exist_ok=True)


def _rights() -> Iterator[str]:
    """Leave what it takes to become the build's user; it ends with that."""
    for name in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
        yield from ("--cap-add", name)
