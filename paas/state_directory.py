"""The data directory: where everything is, and the lock that lets one agent in."""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from paas.core.errors import StateUnusable
from paas.core.records import dataclass


@dataclass(frozen=True, slots=True)
class StateDirectory:
    root: Path

    @property
    def database(self) -> Path:
        return self.root / "paas.db"

    @property
    def key(self) -> Path:
        return self.root / "secrets.key"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def programs(self) -> Path:
        return self.root / "programs"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def homes(self) -> Path:
        return self.root / "homes"

    @property
    def builds(self) -> Path:
        return self.root / "builds"

    @property
    def build_cache(self) -> Path:
        return self.root / "build-cache"

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    def agent_id(self) -> str:
        """Give the name by which this agent knows its own containers; made once, with the directory."""
        path = self.root / "agent-id"
        try:
            return path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            pass
        temporary = self.root / "agent-id.new"
        temporary.write_text(f"{uuid.uuid4()}\n", encoding="ascii")
        temporary.rename(path)
        return path.read_text(encoding="ascii").strip()

    def check_reachable(self, uid: int, gid: int) -> None:
        """Raise StateUnusable if that user cannot get to the programs below this directory."""
        for folder in (self.root, *self.root.parents):
            found = folder.stat()
            if found.st_uid == uid:
                may = found.st_mode & 0o100
            elif found.st_gid == gid:
                may = found.st_mode & 0o010
            else:
                may = found.st_mode & 0o001
            if not may:
                raise StateUnusable(
                    f"cannot run apps from {self.root}: user id {uid} may not enter {folder}",
                    hint=f"chmod o+x {folder}, or choose another state directory",
                )


@contextlib.contextmanager
def held(root: Path) -> Iterator[StateDirectory]:
    """Make the directory if needed and hold it. Raises StateUnusable, which says who holds it."""
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o755)
        descriptor = os.open(root / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StateUnusable(f"cannot use the state directory {root}: {error}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise StateUnusable(
                f"cannot use the state directory {root}: the agent with process id {holder} holds it",
                hint="stop that agent, or point --state elsewhere",
            ) from None
        os.ftruncate(descriptor, 0)
        # Before SQLite makes it: whoever may read the database may read variables of apps.
        os.close(os.open(root / "paas.db", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield StateDirectory(root)
    finally:
        os.close(descriptor)
