"""One life of an engine, from its opening to its death at whatever it awaits."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar, get_args

from paas.artifacts import ArtifactFiles
from paas.build_files import BuildFiles
from paas.core.actions import Action
from paas.core.errors import BadArchive, Unavailable
from paas.core.ids import ArtifactId, DeploymentId, TaskId, new_artifact_id
from paas.core.live import Refusal
from paas.core.model import App, Artifact, Built, Deployment, Event, Task
from paas.core.records import replace
from paas.core.spec import Spec
from paas.core.states import LIVE_TASK, DeploymentState, TaskState
from paas.engine.commands import Commands, DeployRequest
from paas.engine.metering import Metering
from paas.engine.reconciler import Pokes, Reconciler
from paas.engine.variables import Variables
from paas.engine.world import EngineSettings, World
from paas.router import Router
from paas.routes import Entry, Upstream, Waiter
from paas.store import artifacts, deployments, feed, tasks
from paas.store.database import Database
from paas.task_logs import TaskLogs
from paas.vault import Vault
from tests.engine.fake_driver import FakeDriver, Machine
from tests.engine.jumping_loop import LoopClock

T = TypeVar("T")

LIMIT_SECS = 30.0
PAUSE_SECS = 0.002
CALM_TURNS = 10
DRAIN = timedelta(seconds=30)
IDLE_SECS = 300.0


class FakeBuilder:
    """Finds a command in every artifact but those called broken."""

    async def build(self, deployment: Deployment, artifact: Artifact | None) -> Built:
        assert deployment.spec.process_type == "tish"
        if artifact is not None and artifact.name == "broken":
            raise BadArchive("cannot unpack it: it is broken")
        return Built(command=("run",))


@dataclass(slots=True, eq=False)
class Request:
    """One request, as the proxy would make it."""

    router: Router
    host: str
    upstream: Upstream | None = None
    refusal: Refusal | None = None
    waiter: Waiter | None = None
    answers: int = 0
    left: bool = False

    def ask(self) -> "Request":
        entry = self.router.resolve(self.host)
        if entry is None:
            self._answer(Refusal(reason="nobody has that host", until=None))
            return self
        upstream = self.router.take(entry)
        if upstream is not None:
            self._answer(upstream)
        elif entry.refusal is not None:
            self._answer(entry.refusal)
        else:
            self.waiter = self.router.wait(entry, partial(self._resumed, entry))
        return self

    @property
    def waits(self) -> bool:
        return not self.answers and not self.left

    @property
    def task_id(self) -> TaskId | None:
        return self.upstream.task_id if self.upstream else None

    def give_back(self) -> None:
        """End the request, or leave if it waits."""
        if self.waits and self.waiter is not None:
            self.waiter.cancel()
            self.left = True
        elif self.upstream is not None and not self.left:
            self.left = True
            self.router.give_back(self.upstream)

    def _resumed(self, entry: Entry, answer: Upstream | Refusal) -> None:
        if isinstance(answer, Refusal) and self.router.resolve(self.host) is not entry:
            self.ask()  # another version took the host over meanwhile
        else:
            self._answer(answer)

    def _answer(self, answer: Upstream | Refusal) -> None:
        assert not self.left, "resumed after it had left"
        self.answers += 1
        assert self.answers == 1, "resumed twice"
        if isinstance(answer, Upstream):
            self.upstream = answer
        else:
            self.refusal = answer


class SeenPokes(Pokes):
    """Says whether all deployments that were poked have been looked at, to the end."""

    def __init__(self) -> None:
        super().__init__()
        self._is_awaited = False

    @property
    def all_seen(self) -> bool:
        return self._is_awaited and not self._keys

    async def next(self) -> DeploymentId:
        self._is_awaited = True
        try:
            return await super().next()
        finally:
            self._is_awaited = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What a test asks of, and sees of, an engine that runs."""

    world: World
    database: Database
    router: Router
    machine: Machine
    commands: Commands
    pokes: SeenPokes
    opened: asyncio.Event

    async def app(self, name: str = "hello") -> App:
        return await self.commands.apps.create(name=name, namespace="default")

    async def artifact(self, name: str = "fine") -> ArtifactId:
        artifact_id = new_artifact_id()
        async with self.database.transaction() as tx:
            await artifacts.insert(
                tx,
                Artifact(
                    id=artifact_id,
                    name=name,
                    content_type="",
                    size_bytes=1,
                    sha256=name,
                    created_at=1.0,
                    uploaded_at=1.0,
                ),
            )
        return artifact_id

    async def deploy(
        self, app: App, program: str = "good", *, environment: str = "production", spec: Spec | None = None
    ) -> Deployment:
        """Ask for a deployment of a program of the machine; its artifact is made if the spec names none."""
        spec = spec or Spec()
        spec = replace(spec, artifact_id=spec.artifact_id or await self.artifact())
        return await self.commands.deployments.deploy(
            DeployRequest(app_id=app.id, environment=environment, spec=spec, env={"PROGRAM": program})
        )

    async def deploy_again(self, deployment: Deployment, program: str = "good") -> Deployment:
        """Ask for another version of the same app in the same environment."""
        return await self.commands.deployments.deploy(
            DeployRequest(
                app_id=deployment.app_id,
                environment=deployment.environment,
                spec=deployment.spec,
                env={"PROGRAM": program},
            )
        )

    async def served(self, name: str = "hello", spec: Spec | None = None) -> Deployment:
        """Deploy a good program as a new app and wait until it is active."""
        deployment = await self.deploy(await self.app(name), spec=spec)
        return await self.until_state(deployment, DeploymentState.ACTIVE)

    async def asleep(self, name: str = "hello", spec: Spec | None = None) -> Deployment:
        """Deploy a good program and put it to sleep."""
        deployment = await self.served(name, spec)
        await self.commands.deployments.sleep(deployment.id)
        await self.until_tasks(deployment, TaskState.PENDING)
        return deployment

    def ask(self, name: str = "hello") -> Request:
        return Request(self.router, f"{name}-default.localhost").ask()

    async def deployment(self, deployment_id: DeploymentId) -> Deployment:
        found = await deployments.get(self.database.reader, deployment_id)
        assert found is not None
        return found

    async def task(self, task_id: TaskId) -> Task:
        found = await tasks.get(self.database.reader, task_id)
        assert found is not None
        return found

    async def tasks(self, deployment: Deployment, *states: TaskState) -> list[Task]:
        """List a deployment's tasks in these states, by default all, newest first."""
        found = await tasks.of_deployment(self.database.reader, deployment.id)
        return [task for task in found if not states or task.state in states]

    async def starts_after_failures(self, deployment: Deployment) -> list[tuple[float, float]]:
        """Say when each task that failed had ended, with when the next that failed was started."""
        failed = sorted(
            await self.tasks(deployment, TaskState.FAILED), key=lambda task: task.started_at or 0.0
        )
        return [
            (earlier.ended_at or 0.0, later.started_at or 0.0)
            for earlier, later in itertools.pairwise(failed)
        ]

    async def events(self) -> list[Event]:
        return await feed.read(
            self.database.reader, 0, app_id=None, deployment_id=None, limit=10**6, newest_first=False
        )

    async def until_quiet(self) -> None:
        """Wait until nothing is under way, and nothing waits to be looked at, for some turns of the loop."""
        actions = {action.__name__ for action in get_args(Action)}
        async with asyncio.timeout(LIMIT_SECS):
            calm = 0
            while calm < CALM_TURNS:
                names = {task.get_name().partition(" ")[0] for task in asyncio.all_tasks()}
                calm = calm + 1 if self.pokes.all_seen and not names & actions else 0
                await asyncio.sleep(PAUSE_SECS)

    async def until_quiet_but_for(self, starts: int) -> None:
        """Wait until nothing but some starts is under way, likewise."""
        async with asyncio.timeout(LIMIT_SECS):
            calm = 0
            while calm < CALM_TURNS:
                names = [task.get_name().partition(" ")[0] for task in asyncio.all_tasks()]
                is_calm = self.pokes.all_seen and names.count("StartTask") == starts
                calm = calm + 1 if is_calm and "CreateTasks" not in names else 0
                await asyncio.sleep(PAUSE_SECS)

    async def fill_disk(self) -> None:
        """Let every write fail, as on a full disk, until `free_disk`."""
        await self.database._writing.execute_fetchall("PRAGMA max_page_count = 1")
        with contextlib.suppress(Unavailable):
            while True:  # the pages it has may have room
                async with self.database.transaction() as tx:
                    await feed.append(tx, "filler", at=1.0, reason="x" * 1000)

    async def free_disk(self) -> None:
        await self.database._writing.execute_fetchall("PRAGMA max_page_count = 1000000")

    async def until_state(self, deployment: Deployment, state: DeploymentState) -> Deployment:
        return await until_found(lambda: self.deployment(deployment.id), lambda found: found.state is state)

    async def until_task(self, task_id: TaskId, state: TaskState) -> Task:
        return await until_found(lambda: self.task(task_id), lambda found: found.state is state)

    async def until_tasks(self, deployment: Deployment, *states: TaskState) -> list[Task]:
        """Wait until the live tasks of a deployment are in exactly these states."""
        return await until_found(
            lambda: self.tasks(deployment, *LIVE_TASK),
            lambda found: sorted(task.state for task in found) == sorted(states),
        )


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition. The limit is in the loop's time: do not jump meanwhile."""
    async with asyncio.timeout(LIMIT_SECS):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(PAUSE_SECS)


async def until_found(read: Callable[[], Awaitable[T]], accepts: Callable[[T], bool]) -> T:
    """Read until what is read is accepted, likewise."""
    async with asyncio.timeout(LIMIT_SECS):
        while not accepts(found := await read()):  # noqa: ASYNC110 - likewise
            await asyncio.sleep(PAUSE_SECS)
    return found


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    machine: Machine,
    *,
    wait: bool = True,
    resync: timedelta = timedelta(hours=1),
    settings: EngineSettings | None = None,
) -> AsyncIterator[Engine]:
    """Run an engine over the state in a folder and what runs on a machine; leaving it is its death."""
    clock, pokes = LoopClock(), SeenPokes()
    router = Router(clock, pokes.poke)
    files = ArtifactFiles(folder / "artifacts", 2**20)
    async with Database.open(folder / "paas.db") as database, FakeDriver(machine) as driver:
        logs = TaskLogs(folder / "logs")
        metering = Metering(database, [driver], router.counting, clock)
        vault = Vault(folder / "secrets.key")
        await metering.load()
        world = World(
            database=database,
            router=router,
            drivers={"tish": driver},
            builders={"tish": FakeBuilder()},
            freezers={"tish": driver},
            clock=clock,
            settings=replace(
                settings or EngineSettings(domain="localhost", drain=DRAIN, resync=resync),
                first_port=machine.ports[0],
                last_port=machine.ports[1],
            ),
            host_memory=machine.memory,
            metering=metering,
            variables=Variables(database.reader, vault),
            task_started=lambda _: None,
            task_ended=lambda _: None,
            copy_of_log=logs.copy_of,
            last_line=logs.last_line,
            poke=pokes.poke,
        )
        engine = Engine(
            world=world,
            database=database,
            router=router,
            machine=machine,
            commands=Commands.over(
                database,
                files,
                vault,
                clock,
                pokes.poke,
                sources=BuildFiles(folder / "builds", 2**20),
                poke_builds=lambda: None,
            ),
            pokes=pokes,
            opened=asyncio.Event(),
        )
        async with asyncio.TaskGroup() as group:
            life = group.create_task(Reconciler(world, pokes).run(engine.opened), name="reconciler")
            if wait:
                await engine.opened.wait()
            yield engine
            life.cancel()
