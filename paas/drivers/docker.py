"""Containers of a Docker engine as tasks, each at an address of its own, outliving the agent."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from datetime import timedelta
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from paas.core.errors import StartFailed, Unavailable
from paas.core.ids import TaskId
from paas.core.live import Usage
from paas.core.model import Address, Instance, TaskSpec
from paas.core.records import replace
from paas.docker.engine import DockerEngine, Refused
from paas.docker.images import Images
from paas.drivers.docker_calls import Containers
from paas.drivers.docker_containers import SPEC_LABEL, describe, name_of, read
from paas.drivers.docker_freezing import ContainerFreezer
from paas.drivers.docker_memory import Memory
from paas.drivers.docker_network import Network
from paas.drivers.docker_output import output
from paas.drivers.docker_pulls import Pulls
from paas.drivers.docker_usage import ContainerUsage
from paas.drivers.docker_volumes import VolumeRoots
from paas.drivers.docker_watch import Watch

logger = logging.getLogger(__name__)

INSPECTED_AT_ONCE = 8
KILLED = 137  # 128 + SIGKILL: by somebody, or for want of memory
REASON_TOLD_WITHIN_SECS = 0.2


class DockerDriver:
    """Implements `core.ports.Driver` and `Freezer`; a context manager: it follows the engine's events.

    Leaving the context ends no task. Only containers that carry the agent's id are ever touched.
    """

    def __init__(self, *, engine: DockerEngine, images: Images, agent_id: str, volumes: VolumeRoots) -> None:
        self.network = Network(engine, agent_id)
        self._socket = engine.socket
        self._agent_id = agent_id
        self._volumes = volumes
        self._containers = Containers(engine, agent_id)
        self._freezer = ContainerFreezer(self._containers)
        self._usage = ContainerUsage()
        self._watch = Watch(engine, agent_id, self._follow_up, self._catch_up)
        self._memory = Memory()
        self._suspects: set[TaskId] = set()  # had no record when containers were last swept
        self._looking = asyncio.Semaphore(INSPECTED_AT_ONCE)
        self._group = asyncio.TaskGroup()
        self._pulls = Pulls(images, self._group)
        self._loops: list[asyncio.Task[None]] = []

    @property
    def own_network(self) -> bool:
        return True

    async def host_address(self) -> str:
        """Give the gateway of the network that the containers share. Raises Unavailable."""
        with _told_as(Unavailable):
            return await self.network.gateway()

    async def __aenter__(self) -> Self:
        """Begin to follow the engine; one that does not answer is waited for."""
        await self._group.__aenter__()
        self._loops = [self._group.create_task(self._watch.run(), name="docker events")]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for loop in self._loops:
            loop.cancel()
        self._pulls.cancel()
        await self._group.__aexit__(kind, error, trace)

    @property
    def trouble(self) -> str | None:
        """Say why the engine cannot be followed at the moment."""
        return self._watch.trouble

    async def prepare(self, spec: TaskSpec) -> None:
        """Make the container. Its image must be there. Raises StartFailed and Unavailable."""
        body = await self._describe(spec)
        async with self._memory.alone(spec.task_id):
            if spec.task_id in self._memory.seen or self._memory.prepared.get(spec.task_id) == _digest(body):
                return
            with _told_as(StartFailed):
                await self.network.ensure()
                if await self._containers.make(spec.task_id, body):
                    self._memory.prepared[spec.task_id] = _digest(body)

    def foresee(self, task_id: TaskId) -> None:
        """Do nothing: the engine cannot begin a start."""

    async def start(self, spec: TaskSpec) -> Instance:
        """Start the task, or find it started already: running, or ended. Raises StartFailed and Unavailable.

        After `prepare` this is one call of the engine's beside its start; a container, image or network
        that somebody removed meanwhile is made or pulled again.
        """
        task_id = spec.task_id
        async with self._memory.alone(task_id):
            known = self._memory.seen.get(task_id)
            if known is not None:
                return known
            body = await self._describe(spec)
            with _told_as(StartFailed):
                if self._memory.prepared.pop(task_id, None) != _digest(body):
                    known = await self._inspect(task_id)  # an earlier agent may have started it
                    if known is not None:
                        return known
                    if await self._restore(task_id, body):
                        await self._begin(task_id, body)
                else:
                    await self._begin(task_id, body)
                instance = await self._inspect(task_id)
        if instance is None:
            raise StartFailed(f"cannot start task {task_id}: somebody removed its container meanwhile")
        if instance.status == "exited":
            self._memory.hints.add(task_id)
        return instance

    async def stop(self, task_id: TaskId, *, grace: timedelta) -> int | None:
        """Send the image's stop signal, and after `grace`, in whole seconds, SIGKILL; then it has ended.

        Gives the exit code, as the program or the signal made it. After it, what is seen of the task says
        why it ended: the engine may tell of a lack of memory later than of the end. Raises Unavailable.
        """
        async with self._memory.alone(task_id):
            with _told_as(Unavailable):
                instance = await self._inspect(task_id)
                if instance is not None and instance.lives:
                    await self._usage.measure([task_id])  # once it has ended its control group is gone
                    if instance.status == "frozen":
                        await self._freezer.thaw(task_id)
                    await self._containers.stop(task_id, grace)
                    instance = await self._inspect(task_id)
                elif instance is not None and instance.exit_code == KILLED and not instance.oom_killed:
                    await asyncio.sleep(REASON_TOLD_WITHIN_SECS)
                    instance = await self._inspect(task_id)
        return None if instance is None else instance.exit_code

    async def freeze(self, task_id: TaskId) -> None:
        async with self._memory.alone(task_id):
            with _told_as(Unavailable):
                await self._freezer.freeze(task_id)
                await self._inspect(task_id)

    async def thaw(self, task_id: TaskId) -> Instance | None:
        """Let a task run again. One that this driver froze is not asked for at the engine."""
        async with self._memory.alone(task_id):
            with _told_as(Unavailable):
                instance = self._memory.seen.get(task_id)
                if await self._freezer.thaw(task_id) and instance is not None:
                    if instance.status == "frozen":
                        instance = self._memory.seen[task_id] = replace(instance, status="up")
                else:
                    instance = await self._inspect(task_id)
        return instance if instance is not None and instance.lives else None

    async def measure(self, task_ids: Iterable[TaskId]) -> Mapping[TaskId, Usage]:
        """Implement `core.ports.Meter`, without the engine; of a remote engine's tasks nothing is known."""
        wanted = list(task_ids)
        await self._usage.measure(wanted)
        return self._usage.of(wanted)

    async def survey(self) -> Mapping[TaskId, Instance]:
        """See every container of this agent's that was started. Raises Unavailable."""
        await self._watch.check()
        await self._catch_up()
        return dict(self._memory.seen)

    async def look(self, task_ids: Iterable[TaskId]) -> Mapping[TaskId, Instance]:
        """Answer from memory, which the engine's events keep true.

        While the engine is away, tasks are as they were last known, and Unavailable is raised for others.
        """
        seen: dict[TaskId, Instance] = {}
        for task_id in task_ids:
            if task_id in self._memory.seen:
                seen[task_id] = self._memory.seen[task_id]
            elif task_id not in self._memory.prepared:
                await self._watch.check()
        return seen

    async def listens(self, task_id: TaskId, address: Address) -> bool:
        """Say whether the address is the task's: nobody else can have it then."""
        instance = self._memory.seen.get(task_id)
        return instance is not None and instance.lives and instance.address == address

    async def forget(self, task_id: TaskId) -> None:
        """Remove the container and its nameless volumes; what runs of it is killed. Raises Unavailable."""
        async with self._memory.alone(task_id):
            with _told_as(Unavailable):
                if task_id in self._memory.seen and self._memory.seen[task_id].status == "frozen":
                    await self._freezer.thaw(task_id)  # in version 1 it could not be killed
                await self._containers.remove(task_id)
            self._freezer.forget(task_id)
            self._usage.forget(task_id)
            self._memory.forget(task_id)

    def output(self, task_id: TaskId, after: str) -> AsyncGenerator[tuple[str, bytes], None]:
        """Implement `core.ports.Writer`."""
        return output(self._socket, name_of(task_id), after)

    async def keep_only(self, task_ids: Iterable[TaskId]) -> None:
        """Implement `core.ports.Sweeper`."""
        kept = frozenset(task_ids)
        with _told_as(Unavailable):
            listed = await self._containers.all()
        suspects = {task_id for task_id in listed if task_id not in kept}
        for task_id in suspects & self._suspects:
            await self.forget(task_id)
        self._suspects = suspects

    def hints(self) -> AsyncGenerator[TaskId, None]:
        """Name each task that ended, was frozen or thawed by somebody, or was removed. For one reader."""
        return self._memory.hints.follow()

    async def _describe(self, spec: TaskSpec) -> dict[str, Any]:
        mounts: list[dict[str, Any]] = []
        if spec.volumes:  # again at each start: links may have been put there since
            mounts = await asyncio.to_thread(self._volumes.mounts, spec.app_id, spec.volumes)
        return describe(spec, agent_id=self._agent_id, network=self.network.name, mounts=mounts)

    async def _begin(self, task_id: TaskId, body: Mapping[str, Any]) -> None:
        try:
            await self._containers.start(task_id)
        except Refused as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            await self._containers.remove(task_id)  # it may name a network that is gone
            await self._restore(task_id, body)
            await self._containers.start(task_id)

    async def _restore(self, task_id: TaskId, body: Mapping[str, Any]) -> bool:
        """Make a container, and before it whatever of network and image was removed; no: it was started."""
        await self._pulls.have(body["Image"])
        await self.network.make()
        return await self._containers.make(task_id, body)

    async def _inspect(self, task_id: TaskId, last_words: int | None = None) -> Instance | None:
        """See a task as the engine does, and remember it; None if it was never started, or is forgotten.

        One whose container was removed ended with `last_words`. For whoever is alone with the task.
        """
        found = await self._containers.inspect(task_id)
        self._usage.follow(task_id, found)
        if found is None:
            return self._memory.note_removed(task_id, last_words)
        instance = read(task_id, found, self.network.name)
        if instance is not None:
            if self._freezer.is_frozen(task_id, found):
                instance = replace(instance, status="frozen")
            self._memory.note(instance)
        return instance

    async def _catch_up(self) -> None:
        """Compare what is remembered with the engine; tasks that changed are hinted. Raises Unavailable."""
        with _told_as(Unavailable):
            listed = await self._containers.all()
        gone = [task_id for task_id in self._memory.seen if task_id not in listed]
        for task_id in [*(task_id for task_id, state in listed.items() if state != "created"), *gone]:
            if not self._memory.is_in_hand(task_id):  # else somebody is just finding out
                await self._follow_up(task_id, None)

    async def _follow_up(self, task_id: TaskId, last_words: int | None) -> None:
        """Find out what became of a task. Raises Unavailable: then the engine has to be caught up with."""
        async with self._memory.alone(task_id), self._looking:
            try:
                await self._inspect(task_id, last_words)
            except Refused as error:  # one that is broken takes no others along
                logger.warning("%s", error.message, extra={"event": "docker.broken", "task": task_id})


def _digest(body: Mapping[str, Any]) -> str:
    return str(body["Labels"][SPEC_LABEL])


@contextlib.contextmanager
def _told_as(kind: type[StartFailed | Unavailable]) -> Iterator[None]:
    """Let what the engine refuses be the kind of error that the verb's callers expect."""
    try:
        yield
    except Refused as error:
        raise kind(error.message) from error
