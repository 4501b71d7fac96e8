"""The folder of one run on disk: what it holds, who may write it, and how to read what became of it.

`<run_root>/<task id>/`
  `record`  the lock of the launcher and its diary; only the agent may open it, the launcher got it open
  `tmp/`    TMPDIR of the task
`<run_root>/.parked/`  records of launchers that wait for a task: linked into a run when it starts
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from paas.core.errors import StartFailed
from paas.core.ids import TaskId
from paas.core.model import TaskSpec
from paas.core.records import dataclass
from paas.drivers.start_script import Places
from paas.launching.users import User

PARKED = ".parked"
LAUNCH_SCRIPT = ".launch.sh"
RECORD = "record"
RECORD_LIMIT = 4096  # bytes; ours are under 100
ORDER_PATIENCE_S = 2.0
ORDER_PAUSE_S = 0.001
KILLED = 137  # 128 + SIGKILL, as a shell says it


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a run's record says now."""

    held: bool  # the launcher lives
    launcher: int  # its process id, which is also the session and the process group
    group: str  # name of the launcher's control group
    exit_code: int | None
    port: int | None  # None: it has not begun

    @property
    def never_began(self) -> bool:
        """Say whether no order reached it: else it began, or was killed before it could write so."""
        return not self.held and self.port is None and not self.exit_code


class Runs:
    """All runs below one folder. Every method blocks on the disk."""

    def __init__(
        self,
        *,
        run_root: Path,
        programs_root: Path,
        homes_root: Path,
        log_path: Callable[[TaskId], Path],
        user: User | None,
    ) -> None:
        self.root = run_root
        self.parked = run_root / PARKED
        self._programs_root = programs_root
        self._homes_root = homes_root
        self._log_path = log_path
        self._user = user

    def folder(self, task_id: TaskId) -> Path:
        if not task_id or task_id.startswith(".") or "/" in task_id or "\n" in task_id:
            raise ValueError(f"not a task id: {task_id!r}")
        return self.root / task_id

    def open(self) -> None:
        """Make the folders, put the launch script where the apps' user can read it, drop unstarted runs."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o711)
        self.parked.mkdir(mode=0o700, exist_ok=True)
        self._homes_root.mkdir(parents=True, exist_ok=True)
        self._homes_root.chmod(0o711)
        if self._user is not None:  # programs are the apps' to see, not a build's
            self._programs_root.mkdir(parents=True, exist_ok=True)
            self._programs_root.chmod(0o710)
            self._give_group(self._programs_root)
        script = Path(__file__).with_name("launch.sh").read_bytes()
        self._write(self.root / LAUNCH_SCRIPT, script, mode=0o644)
        for path in self.root.iterdir():
            if path.is_dir() and path.name != PARKED and not (path / RECORD).exists():
                shutil.rmtree(path)

    def prepare(self, spec: TaskSpec) -> None:
        """Make all that a start needs; nothing if the task was started before. Raises StartFailed."""
        folder = self.folder(spec.task_id)
        try:
            if not self._is_new(folder):
                return
            places = self.places(spec)
            if not places.program.is_dir():
                raise StartFailed(f"cannot start task {spec.task_id}: its program is not unpacked")
            self._make(folder, places)
        except OSError as error:
            raise StartFailed(f"cannot prepare task {spec.task_id}: {error.strerror or error}") from error

    def places(self, spec: TaskSpec) -> Places:
        """Say where a task finds its things. Does not block."""
        return Places(
            program=self._programs_root / spec.artifact_sha256,
            home=self._homes_root / spec.app_id,
            temporary=self.folder(spec.task_id) / "tmp",
            log=self._log_path(spec.task_id),
        )

    def read(self, task_id: TaskId) -> Record | None:
        """Read what became of a run; None if it was given no launcher.

        An agent that has just died may have given the order or not: its launcher is about to say. One that
        does not in time, stopped or without a processor, is killed: it has begun nothing. Raises TimeoutError
        if the kernel does not let it die.
        """
        path = self.folder(task_id) / RECORD
        began = time.monotonic()
        while True:
            record = _look_at(path)
            if record is None or not record.held or record.port is not None:
                return record
            if time.monotonic() > began + ORDER_PATIENCE_S:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(record.launcher, signal.SIGKILL)
            if time.monotonic() > began + 2 * ORDER_PATIENCE_S:
                raise TimeoutError(f"the launcher of task {task_id} neither starts nor ends")
            time.sleep(ORDER_PAUSE_S)

    def find(self, task_id: TaskId) -> tuple[Record, int | None] | None:
        """Read a run that began, with a pidfd of its launcher if that lives; None if it did not begin."""
        record = self.read(task_id)
        if record is None or record.never_began:
            return None
        if not record.held:
            return record, None
        pidfd = None
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(record.launcher)
        again = self.read(task_id)  # still held: the pidfd is the launcher's, no reused id's
        if pidfd is not None and (again is None or not again.held):
            os.close(pidfd)
            pidfd = None
        return again or record, pidfd

    def take(self, task_id: TaskId, parked: Path) -> None:
        """Give a run its launcher, whose record this is: once; a second raises FileExistsError."""
        os.link(parked, f"{self.root}/{task_id}/{RECORD}")  # no Path: each join costs a wake some us

    @contextlib.contextmanager
    def given(self, task_id: TaskId, parked: Path) -> Iterator[None]:
        """Let a run have its launcher, as `take` does, unless what is done with it raises."""
        self.take(task_id, parked)
        try:
            yield
        except BaseException:
            (self.folder(task_id) / RECORD).unlink()
            raise

    def is_taken(self, task_id: TaskId) -> bool:
        """Say whether a launcher was given to this run."""
        return (self.folder(task_id) / RECORD).exists()

    def note_killed(self, task_id: TaskId) -> int:
        """Write and return the exit code for a launcher that could not; the first one written counts."""
        with (self.folder(task_id) / RECORD).open("ab") as record:
            record.write(b"exit %d\n" % KILLED)
        return KILLED

    def all(self) -> list[TaskId]:
        """List all runs, prepared ones included."""
        return [TaskId(path.name) for path in self.root.iterdir() if not path.name.startswith(".")]

    def delete(self, task_id: TaskId) -> None:
        """Delete a run; absent is success."""
        folder = self.folder(task_id)
        if folder.exists():
            shutil.rmtree(folder)

    def _is_new(self, folder: Path) -> bool:
        record = self.read(TaskId(folder.name))
        if record is None:
            return True  # and nothing to delete: a start may have come meanwhile
        if not record.never_began:
            return False
        (folder / RECORD).unlink(missing_ok=True)
        return True

    def _make(self, folder: Path, places: Places) -> None:
        folder.mkdir(mode=0o750, exist_ok=True)
        self._give_group(folder)
        for path in (places.temporary, places.home):
            path.mkdir(mode=0o700, exist_ok=True)
            if self._user is not None:
                self._user.give(path)
        self._make_log(places.log)

    def _make_log(self, log: Path) -> None:
        """Let the task append to its log, but not read those of others."""
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o620)
        try:
            os.fchmod(descriptor, 0o620)
            if self._user is not None:
                os.fchown(descriptor, -1, self._user.gid)
        finally:
            os.close(descriptor)

    def _write(self, path: Path, content: bytes, *, mode: int) -> None:
        """Replace a file at once: a launcher may be reading the old one."""
        temporary = path.with_name(f".{secrets.token_hex(8)}")
        temporary.write_bytes(content)
        temporary.chmod(mode)
        self._give_group(temporary)
        temporary.rename(path)

    def _give_group(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, -1, self._user.gid)


def _can_lock(descriptor: int) -> bool:
    """Say whether nobody holds the record. A shared lock, so that two who look do not see each other."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


def _look_at(path: Path) -> Record | None:
    """Read a record, and first whether its lock is held: what is written last is written under it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        held = not _can_lock(descriptor)
        text = os.read(descriptor, RECORD_LIMIT).decode("ascii", "replace")
    finally:
        os.close(descriptor)
    return _record_of(text, held=held)


def _record_of(text: str, *, held: bool) -> Record:
    launcher, group, port, exit_code = 0, "", None, None
    for line in text.splitlines():
        match line.split():
            case ["launcher", pid, name] if pid.isdecimal():
                launcher, group = int(pid), name
            case ["begun", text] if text.isdecimal():
                port = int(text)
            case ["exit", code] if code.isdecimal() and exit_code is None and not held:
                exit_code = int(code)
    return Record(held=held, launcher=launcher, group=group, exit_code=exit_code, port=port)
