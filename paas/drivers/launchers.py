"""Launchers, spawned ahead and parked, so that a wake pays for no shell's start."""

import asyncio
import collections
import contextlib
import fcntl
import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from paas.core.errors import StartFailed, StateUnusable
from paas.core.records import dataclass
from paas.drivers.runs import LAUNCH_SCRIPT, Runs
from paas.drivers.start_script import Script
from paas.launching.cgroups import Cgroups
from paas.launching.signals import RESET_SIGNALS
from paas.launching.users import User, as_user

logger = logging.getLogger(__name__)

STDERR = 2
REFILL_AFTER_S = 0.05  # what a start leaves of the processor in its first moments is the program's
CALLED_UP_FOR_S = 1.0  # then a start is not so likely any more
RECORD_FD = 9  # launch.sh's name for it
PIPE_BYTES = 48 * 1024  # what a new pipe is sure to take at once
INHERITED = ("PATH", "LANG", "TZ")


@dataclass(slots=True, eq=False, kw_only=True)
class Launcher:
    """A shell of its own session that waits for what to run."""

    pid: int
    pidfd: int  # readable when it has ended
    pipe: int  # its order goes here; closing it sends the launcher home
    group: str  # its control group, where there are any
    group_id: int | None  # by which the kernel knows that
    record: Path  # locked by it; linked into the run it is given
    told: bytes = b""  # the part of an order that was sent ahead

    def tell(self, ahead: bytes) -> None:
        """Send the first part of an order that may follow. Raises OSError, as `order` does."""
        self._write(ahead)
        self.told = ahead

    def order(self, script: Script, port: int) -> None:
        """Tell it what to run, or what it was not told of it yet; `leave` lets it know that this was all.

        Raises BrokenPipeError if it has died, and OSError for more than the kernel lets a pipe hold (1 MiB).
        """
        self._write(script.rest(port) if self.told else script.ahead + script.rest(port))

    def leave(self) -> None:
        """Let it go on without us; its record has another name by now."""
        os.close(self.pipe)
        self.record.unlink(missing_ok=True)

    def _write(self, words: bytes) -> None:
        size = len(self.told) + len(words)
        if size > PIPE_BYTES:  # or the write would wait for the reader
            fcntl.fcntl(self.pipe, fcntl.F_SETPIPE_SZ, size + PIPE_BYTES)
        os.write(self.pipe, words)


class Spawner:
    """Spawns launchers. Without a control group their tasks are found by their environment."""

    def __init__(self, runs: Runs, cgroups: Cgroups | None, user: User | None) -> None:
        self._runs = runs
        self._cgroups = cgroups
        self._user = user
        self._command = (*as_user(user), "/bin/sh", str(runs.root / LAUNCH_SCRIPT), str(runs.root))
        self._environment = {name: os.environ[name] for name in INHERITED if name in os.environ}

    def spawn(self) -> Launcher:
        """Start one launcher and park it. Blocks for about a millisecond. Raises OSError."""
        group = secrets.token_hex(8)
        path = self._runs.parked / group
        with contextlib.ExitStack() as on_failure:
            record = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            on_failure.callback(path.unlink, missing_ok=True)
            try:
                fcntl.flock(record, fcntl.LOCK_EX)
                pid, pipe = self._start(record)
                on_failure.callback(os.waitpid, pid, 0)
                on_failure.callback(os.close, pipe)
                group_id = self._contain(group, pid)
                os.write(record, f"launcher {pid} {group}\n".encode())
                with contextlib.suppress(BrokenPipeError):  # it has ended, which whoever waits for it sees
                    os.write(pipe, b"\n")  # what it forks from now on is contained as well
                pidfd = os.pidfd_open(pid)
            finally:
                os.close(record)  # the launcher holds the lock now, alone
            on_failure.pop_all()
        return Launcher(pid=pid, pidfd=pidfd, pipe=pipe, group=group, group_id=group_id, record=path)

    def check(self) -> None:
        """Try a launcher. Raises StateUnusable where none would work: better at the start than at a wake."""
        try:
            code = self.retire(self.spawn())
        except OSError as error:
            raise StateUnusable(f"cannot start processes: {error.strerror or error}") from error
        if code:
            whom = "" if self._user is None else f" as user id {self._user.uid}"
            raise StateUnusable(
                f"cannot start processes{whom}: the launcher ended with code {code}",
                hint=f"that user must be able to enter {self._runs.root}; setpriv (util-linux) is needed",
            )

    def retire(self, launcher: Launcher) -> int:
        """Send a launcher without an order home, wait until it has gone, return its exit code.

        Blocks for about a millisecond.
        """
        os.close(launcher.pipe)
        os.close(launcher.pidfd)
        _, status = os.waitpid(launcher.pid, 0)
        launcher.record.unlink(missing_ok=True)
        if self._cgroups is not None:
            self._cgroups.remove(launcher.group)
        return os.waitstatus_to_exitcode(status)

    def keep_to_ourselves(self) -> None:
        """Let no launcher inherit what the agent inherited itself, from a service manager or a shell."""
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are all it needs
            with contextlib.suppress(OSError):  # the one that listed the folder
                if int(name) > STDERR:
                    os.set_inheritable(int(name), False)

    def sweep(self) -> None:
        """Forget launchers that an earlier agent had parked: its end ended them."""
        for path in self._runs.parked.iterdir():
            path.unlink(missing_ok=True)
        if self._cgroups is not None:
            self._cgroups.sweep()

    def _start(self, record: int) -> tuple[int, int]:
        reader, writer = os.pipe()
        try:
            if self._user is not None:  # who opens it by name, too
                os.fchown(reader, self._user.uid, self._user.gid)
            pid = os.posix_spawn(
                self._command[0],
                self._command,
                self._environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, reader, 0),
                    (os.POSIX_SPAWN_DUP2, record, RECORD_FD),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=RESET_SIGNALS,
            )
        except OSError:
            os.close(writer)
            raise
        finally:
            os.close(reader)
        return pid, writer

    def _contain(self, group: str, pid: int) -> int | None:
        if self._cgroups is None:
            return None
        self._cgroups.make(group)
        self._cgroups.add(group, pid)
        return self._cgroups.id_of(group)


class LauncherPool:
    """Keeps `parked` launchers waiting, makes more when more are asked for at once."""

    def __init__(self, spawner: Spawner, parked: int) -> None:
        self._spawner = spawner
        self._target = parked
        self._parked: collections.deque[Launcher] = collections.deque()
        self._waiters: collections.deque[asyncio.Future[None]] = collections.deque()
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Fill the pool until cancelled; then send home those that wait."""
        try:
            self._wanted.set()
            while True:
                await self._wanted.wait()
                if len(self._parked) < self._target or self._waiters:
                    await self._add_one()
                else:
                    self._wanted.clear()
        finally:
            for launcher in self._parked:
                self._unwatch(launcher)
                self._spawner.retire(launcher)
            self._parked.clear()

    def call_up(self, ahead: bytes) -> None:
        """Let a parked launcher read what comes first of an order, if one is free. One at a time.

        It is kept for that order, and sent home if this does not follow soon.
        """
        if not self._parked or any(launcher.told for launcher in self._parked):
            return
        launcher = self._parked[-1]
        with contextlib.suppress(OSError):  # it has ended, which its watch will see
            launcher.tell(ahead)
            asyncio.get_running_loop().call_later(CALLED_UP_FOR_S, self._dismiss, launcher)

    async def take(self, script: Script) -> Launcher:
        """Give a parked launcher away that can be ordered this, or a new one as soon as it is there.

        Raises StartFailed. When this returns, no other coroutine has run since the launcher left the pool.
        Its pidfd is still watched: the taker puts a watch of its own in the place of the pool's, or gives it
        back.
        """
        while (launcher := self._fitting(script.ahead)) is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            self._wanted.set()
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        asyncio.get_running_loop().call_later(REFILL_AFTER_S, self._wanted.set)
        self._parked.remove(launcher)
        return launcher

    def give_back(self, launcher: Launcher) -> None:
        """Take back a launcher that got no order."""
        self._parked.append(launcher)

    async def _add_one(self) -> None:
        try:
            launcher = await _whole(self._spawner.spawn, self._spawner.retire)
        except OSError as error:
            logger.warning("Cannot start a launcher: %s", error, extra={"event": "launcher.failed"})
            self._wanted.clear()  # until somebody asks again
            cause = StartFailed(f"cannot start a process: {error.strerror or error}")
            while self._waiters:
                _settle(self._waiters.popleft(), cause)
            return
        self._parked.append(launcher)
        asyncio.get_running_loop().add_reader(launcher.pidfd, self._lose, launcher)
        if self._waiters:
            _settle(self._waiters.popleft(), None)

    def _fitting(self, ahead: bytes) -> Launcher | None:
        """Find one that was told this, else one that was told nothing."""
        found = None
        for launcher in self._parked:
            if launcher.told == ahead:
                return launcher
            if not launcher.told:
                found = found or launcher
        return found

    def _dismiss(self, launcher: Launcher) -> None:
        if launcher in self._parked:
            self._unwatch(launcher)
            self._parked.remove(launcher)
            asyncio.get_running_loop().run_in_executor(None, self._spawner.retire, launcher)
            self._wanted.set()

    def _lose(self, launcher: Launcher) -> None:
        """Drop a parked launcher that was killed; it is replaced when the next one is taken."""
        self._unwatch(launcher)
        self._parked.remove(launcher)
        self._spawner.retire(launcher)

    def _unwatch(self, launcher: Launcher) -> None:
        asyncio.get_running_loop().remove_reader(launcher.pidfd)


async def _whole(spawn: Callable[[], Launcher], retire: Callable[[Launcher], int]) -> Launcher:
    """Spawn in a thread; when cancelled meanwhile, leave no launcher behind that nobody knows."""
    spawning = asyncio.get_running_loop().run_in_executor(None, spawn)
    try:
        return await asyncio.shield(spawning)
    except asyncio.CancelledError:
        retire(await spawning)
        raise


def _settle(waiter: asyncio.Future[None], error: Exception | None) -> None:
    if waiter.done():
        return
    if error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(error)
