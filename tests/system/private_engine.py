"""A Docker engine of one test's own, to be killed, hung and started again."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import docker_engine
from tests.requirements import leave_out


@dataclass(slots=True)
class PrivateEngine:
    """An engine below a folder. Its containers outlive it; without `live_restore` only until it is back."""

    folder: Path
    live_restore: bool = False

    @property
    def socket(self) -> Path:
        return self.folder / "docker.sock"

    def start(self) -> None:
        # Not without a bridge: that would take the default one from every other engine of this machine.
        docker_engine.start_engine(self.folder, *(["--live-restore"] if self.live_restore else []))

    def restore(self) -> None:
        """Let it answer again, whatever a test did to it before it failed."""
        with contextlib.suppress(OSError):
            self.go_on()
        if not docker_engine.answers(self.socket):
            self.start()

    def kill(self) -> None:
        """End it as a crash would."""
        docker_engine.kill_engine(self.folder)

    def hang(self) -> None:
        docker_engine.hang_engine(self.folder)

    def go_on(self) -> None:
        docker_engine.resume_engine(self.folder)


@contextlib.contextmanager
def private_engine(*, live_restore: bool = False, started: bool = True) -> Iterator[PrivateEngine]:
    """Lend an engine; it and all that it ran are gone afterwards."""
    if os.geteuid() != 0:
        leave_out("needs root to start a Docker engine")
    engine = PrivateEngine(docker_engine.new_run(), live_restore)
    try:
        if started:
            engine.start()
        yield engine
    finally:
        _end(engine)


def _end(engine: PrivateEngine) -> None:
    with contextlib.suppress(OSError, ValueError):
        engine.go_on()
    if docker_engine.answers(engine.socket):
        for each in docker_engine.ask_json(engine.socket, "GET", "/containers/json?all=1"):
            with contextlib.suppress(ValueError):
                docker_engine.ask(engine.socket, "DELETE", f"/containers/{each['Id']}?force=1&v=1")
    docker_engine.stop_engine(engine.folder)
    shutil.rmtree(engine.folder, ignore_errors=True)
