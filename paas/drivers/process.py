"""Native tasks: programs of this machine, each in a session of its own, outliving the agent."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from paas.core.errors import StartFailed
from paas.core.ids import TaskId
from paas.core.live import Usage
from paas.core.model import Address, Instance, TaskSpec
from paas.core.records import replace
from paas.drivers.ending import Ender, Running
from paas.drivers.halting import Halter
from paas.drivers.launchers import Launcher, LauncherPool, Spawner
from paas.drivers.listening import is_open_in
from paas.drivers.native_usage import NativeUsage
from paas.drivers.runs import KILLED, Record, Runs
from paas.drivers.start_script import HOST, LimitByShell, Script, Scripts, render
from paas.drivers.watching import Watch
from paas.launching import leftovers
from paas.launching.cgroups import find_cgroups
from paas.launching.users import User
from paas.sock_diag import SocketTable

logger = logging.getLogger(__name__)

PARKED = 2  # an app that is woken often wakes another, such as its database


class ProcessDriver:
    """Implements `core.ports.Driver` and `Freezer`; a context manager, since it keeps launchers parked ahead.

    Leaving the context ends no task. `Instance.pid` is the launcher's: the task's session and process group.
    """

    def __init__(
        self,
        *,
        run_root: Path,
        programs_root: Path,
        homes_root: Path,
        log_path: Callable[[TaskId], Path],
        user: tuple[int, int] | None = None,
        parked: int = PARKED,
        use_cgroups: bool = True,
    ) -> None:
        """Take the folders; `user` (uid and gid; None: the agent's own) must be able to reach them all.

        `parked` launchers wait ahead of starts, each some 0.15 MB. Without control groups, by choice
        or because none is writable, rlimits keep the limits and leftovers are found by their environment.
        """
        apps_user = None if user is None else User(uid=user[0], gid=user[1])
        self._runs = Runs(
            run_root=run_root,
            programs_root=programs_root,
            homes_root=homes_root,
            log_path=log_path,
            user=apps_user,
        )
        self._cgroups = find_cgroups() if use_cgroups else None
        self._spawner = Spawner(self._runs, self._cgroups, apps_user)
        self._usage = NativeUsage(self._cgroups)
        self._ender = Ender(self._runs, self._cgroups, self._usage)
        self._halter = Halter(self._cgroups)
        self._pool = LauncherPool(self._spawner, parked)
        self._sockets = SocketTable()
        self._scripts = Scripts(lambda spec: render(spec, self._runs.places(spec), self._by_shell()))
        self._prepared: set[TaskId] = set()
        self._watch = Watch(self._ender.clear)
        self._loops: list[asyncio.Task[None]] = []
        self._group = asyncio.TaskGroup()

    @property
    def own_network(self) -> bool:
        return False

    async def host_address(self) -> str:
        return HOST

    async def __aenter__(self) -> Self:
        """Make the folders and try a launcher. Raises StateUnusable, with the cause, if that fails."""
        await asyncio.to_thread(self._open)
        await self._group.__aenter__()
        self._loops = [
            self._group.create_task(self._pool.run(), name="launchers"),
            self._group.create_task(self._watch.run(), name="leftovers"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for loop in self._loops:
            loop.cancel()
        try:
            await self._group.__aexit__(kind, error, trace)
        finally:
            self._watch.close()
            self._sockets.close()

    def limits_in_force(self) -> dict[str, str]:
        """Say by what each limit is kept: "cgroup v2", "rlimit", "environment" or "none"."""
        controllers = self._cgroups.controllers if self._cgroups else frozenset()
        return {
            "memory": "cgroup v2" if "memory" in controllers else "rlimit",
            "cpu": "cgroup v2" if "cpu" in controllers else "none",
            "processes": "cgroup v2" if "pids" in controllers else "none",
            "containment": "cgroup v2" if self._cgroups else "environment",
        }

    async def prepare(self, spec: TaskSpec) -> None:
        """Make the run's folder, and what the task is told. That may still change: it comes with the start.

        Raises StartFailed.
        """
        if spec.task_id in self._watch.running or spec.task_id in self._prepared:
            return
        await asyncio.to_thread(self._runs.prepare, spec)
        if not self._runs.is_taken(spec.task_id):  # by a start that came meanwhile
            self._prepared.add(spec.task_id)
            self._scripts.prepare(spec)

    def foresee(self, task_id: TaskId) -> None:
        """Let a launcher read what comes first for a prepared task, and be awake when the order comes."""
        script = self._scripts.find(task_id)
        if script is not None:
            self._pool.call_up(script.ahead)

    async def start(self, spec: TaskSpec) -> Instance:
        """Start the task, or find it started already: running, or ended. Raises StartFailed.

        After `prepare`, and with a launcher parked, this is a link, some lines into a pipe, and no wait.
        """
        await self.prepare(spec)
        if spec.task_id in self._prepared:
            script = self._scripts.take(spec)
            launcher = await self._pool.take(script)
            # No await from here to its start: of two starts, the second finds the first's work.
            if spec.task_id in self._prepared:
                return self._hand_over(launcher, spec, script)
            self._pool.give_back(launcher)
        seen = (await self.look([spec.task_id])).get(spec.task_id)
        if seen is None:
            raise StartFailed(f"cannot start task {spec.task_id}: another start of it has failed")
        return seen

    async def stop(self, task_id: TaskId, *, grace: timedelta) -> int | None:
        """SIGTERM to the process group, after `grace` SIGKILL to every process; then nothing of it lives."""
        running = await self._find(task_id)
        if running is not None and running.instance.status == "frozen":
            await self.thaw(task_id)
        killed = running is not None and await self._ender.end(running, grace)
        return await asyncio.to_thread(self._ender.clear, task_id, we_killed_it=killed)

    async def freeze(self, task_id: TaskId) -> None:
        running = await self._find(task_id)
        if running is not None:
            await asyncio.to_thread(self._halter.freeze, running, self._ender.members_of(running))
            running.instance = replace(running.instance, status="frozen")

    async def thaw(self, task_id: TaskId) -> Instance | None:
        """Let a task run again; with control groups, or one's own freeze, that is no wait."""
        running = await self._find(task_id)
        if running is None:
            return None
        members = self._ender.members_of(running)
        # A frozen launcher could not tell of its program's end; after the thaw it is soon gone itself.
        was_ended = self._cgroups is not None and members() == [running.launcher]
        if running.stopped is None and self._cgroups is None:
            await asyncio.to_thread(self._halter.thaw, running, members)
        else:
            self._halter.thaw(running, members)
        running.instance = replace(running.instance, status="up")
        if was_ended:
            await self._ender.until_ended(running)
        return None if running.ended.is_set() else running.instance

    async def survey(self) -> Mapping[TaskId, Instance]:
        """See every run on disk, and watch those that live, also ones that an earlier agent started."""
        return await self.look(await asyncio.to_thread(self._runs.all))

    async def look(self, task_ids: Iterable[TaskId]) -> Mapping[TaskId, Instance]:
        """Answer from memory where a living launcher is watched, else from the disk."""
        seen: dict[TaskId, Instance] = {}
        unknown = []
        for task_id in task_ids:
            if task_id in self._watch.running:
                seen[task_id] = self._watch.running[task_id].instance
            elif task_id not in self._prepared:
                unknown.append(task_id)
        if unknown:
            for task_id, record, pidfd, is_frozen in await asyncio.to_thread(self._read, unknown):
                seen[task_id] = self._note(task_id, record, pidfd, is_frozen=is_frozen)
        return seen

    async def listens(self, task_id: TaskId, address: Address) -> bool:
        running = self._watch.running.get(task_id)
        if running is None:
            return False
        try:
            listener = self._sockets.find((address.host, address.port))
        except OSError:
            return True
        if listener is None:
            return False
        if self._cgroups is not None and listener.cgroup_id is not None:
            running.group_id = running.group_id or self._cgroups.id_of(running.group)
            return listener.cgroup_id == running.group_id
        if is_open_in(leftovers.find_children(running.launcher), listener.inode):
            return True  # mostly the program itself; to look at all processes takes milliseconds
        members = self._ender.members_of(running)
        return await asyncio.to_thread(lambda: is_open_in(members(), listener.inode))

    async def measure(self, task_ids: Iterable[TaskId]) -> Mapping[TaskId, Usage]:
        """Implement `core.ports.Meter`, in a thread for those that run."""
        wanted = list(task_ids)
        running = [self._watch.running[task_id] for task_id in wanted if task_id in self._watch.running]
        if running:
            await self._ender.measure(running)
        return self._usage.of(wanted)

    async def forget(self, task_id: TaskId) -> None:
        """Delete the run's folder; whatever still runs of it is killed."""
        await self.stop(task_id, grace=timedelta(0))
        self._prepared.discard(task_id)
        self._scripts.forget(task_id)
        await asyncio.to_thread(self._usage.forget, task_id)
        await asyncio.to_thread(self._runs.delete, task_id)

    def hints(self) -> AsyncGenerator[TaskId, None]:
        """Name each task whose launcher has ended, once no process of it is left. For one reader."""
        return self._watch.hints.follow()

    def _open(self) -> None:
        self._runs.open()
        self._spawner.sweep()
        self._spawner.keep_to_ourselves()
        self._spawner.check()

    def _hand_over(self, launcher: Launcher, spec: TaskSpec, script: Script) -> Instance:
        try:
            self._limit(launcher, spec)
            with self._runs.given(spec.task_id, launcher.record):
                launcher.order(script, spec.port)
        except OSError as error:
            asyncio.get_running_loop().remove_reader(launcher.pidfd)
            self._spawner.retire(launcher)
            raise StartFailed(f"cannot start task {spec.task_id}: {error.strerror or error}") from error
        launcher.leave()
        self._prepared.discard(spec.task_id)
        running = self._watch.begin(
            spec.task_id,
            launcher=launcher.pid,
            pidfd=launcher.pidfd,
            group=launcher.group,
            port=spec.port,
        )
        running.group_id = launcher.group_id
        return running.instance

    def _by_shell(self) -> LimitByShell:
        controllers = self._cgroups.controllers if self._cgroups else frozenset()
        return LimitByShell(memory="memory" not in controllers, cpu="cpu" not in controllers)

    def _limit(self, launcher: Launcher, spec: TaskSpec) -> None:
        if self._cgroups is not None and self._cgroups.controllers:
            self._cgroups.limit(launcher.group, memory_bytes=spec.memory_bytes, cpu_millis=spec.cpu_millis)

    async def _find(self, task_id: TaskId) -> Running | None:
        if task_id not in self._watch.running:
            await self.look([task_id])
        return self._watch.running.get(task_id)

    def _read(self, task_ids: Iterable[TaskId]) -> list[tuple[TaskId, Record, int | None, bool]]:
        """Read records, with a pidfd for each launcher that lives, and whether the task is frozen. Blocks."""
        found = []
        for task_id in task_ids:
            begun = self._runs.find(task_id)
            if begun is not None:
                record, pidfd = begun
                is_frozen = pidfd is not None and self._halter.is_frozen(record.launcher, record.group)
                found.append((task_id, record, pidfd, is_frozen))
        return found

    def _note(self, task_id: TaskId, record: Record, pidfd: int | None, *, is_frozen: bool) -> Instance:
        running = self._watch.running.get(task_id)
        if running is not None:  # somebody else looked at the same time
            if pidfd is not None:
                os.close(pidfd)
            return running.instance
        if pidfd is not None:
            running = self._watch.begin(
                task_id, launcher=record.launcher, pidfd=pidfd, group=record.group, port=record.port
            )
            running.stopped = None
            running.instance = replace(running.instance, status="frozen" if is_frozen else "up")
            return running.instance
        killed = record.exit_code == KILLED and self._usage.was_killed_for_memory(task_id)
        return Instance(task_id=task_id, status="exited", exit_code=record.exit_code, oom_killed=killed)
