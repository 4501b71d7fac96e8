"""What the engine needs from outside. Every verb may be repeated: twice equals once."""

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from datetime import timedelta
from pathlib import Path
from typing import Protocol, runtime_checkable

from paas.core.builds import Build, BuildOptions, BuiltImage, Program, Recipe, SourceOrder
from paas.core.ids import AppId, DeploymentId, TaskId
from paas.core.live import Counted, Live, Measured, Usage
from paas.core.model import Address, Artifact, Built, Deployment, Instance, TaskSpec


class Clock(Protocol):
    def now(self) -> float: ...  # epoch seconds
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


class Driver(Protocol):
    """Runs tasks; names them by `TaskSpec.task_id`, so no handle is ever stored.

    Any verb raises Unavailable while what runs the tasks cannot be asked.
    """

    @property
    def own_network(self) -> bool:
        """Say whether each task has an address of its own, so that ports need not differ."""

    async def host_address(self) -> str:
        """Give the address at which its tasks reach this machine."""

    async def prepare(self, spec: TaskSpec) -> None:
        """Make everything that a start would have to wait for, short of starting."""

    def foresee(self, task_id: TaskId) -> None:
        """Hear that a start of a prepared task is likely to follow in a moment. Nothing depends on it."""

    async def start(self, spec: TaskSpec) -> Instance:
        """Start the task, or find it started already. Raises StartFailed."""

    async def stop(self, task_id: TaskId, *, grace: timedelta) -> int | None:
        """End every process of the task and return its exit code; absent is success (None)."""

    async def survey(self) -> Mapping[TaskId, Instance]:
        """Find every task that carries our label, running or ended, not yet forgotten."""

    async def look(self, task_ids: Iterable[TaskId]) -> Mapping[TaskId, Instance]:
        """See these tasks as they are now; a task never started is absent."""

    async def listens(self, task_id: TaskId, address: Address) -> bool:
        """Say whether what accepts connections there is the task; yes where that cannot be told."""

    async def forget(self, task_id: TaskId) -> None:
        """Delete what an ended task left behind (its output is kept elsewhere)."""

    def hints(self) -> AsyncIterator[TaskId]:
        """Name tasks worth another look, as soon as they end; may miss some."""


@runtime_checkable
class Freezer(Protocol):
    """Freezes tasks, of the drivers that can: memory stays, nothing runs, a thaw takes milliseconds.

    What is frozen is seen as "frozen", also by a driver that another agent's end left it to. `stop`
    thaws first: a frozen task is asked to end like any other. An absent or ended task is success.
    """

    async def freeze(self, task_id: TaskId) -> None:
        """Let no process of the task run. Raises Unavailable if it cannot be frozen; then it runs."""

    async def thaw(self, task_id: TaskId) -> Instance | None:
        """Let the task run again, and see it; None if it is absent or has ended. Raises Unavailable."""


@runtime_checkable
class Meter(Protocol):
    """Measures tasks, of the drivers that can."""

    async def measure(self, task_ids: Iterable[TaskId]) -> Mapping[TaskId, Usage]:
        """Say what these tasks use; what is not known any more, or not a task of this driver, is absent.

        Of a task that has ended and is not yet forgotten, the last that could be seen.
        """


@runtime_checkable
class Writer(Protocol):
    """A driver whose tasks do not append to their logs themselves."""

    def output(self, task_id: TaskId, after: str) -> AsyncGenerator[tuple[str, bytes], None]:
        """Yield what a task wrote after a cursor ("": from its start), each piece with the cursor after it.

        Ends when the task has ended and all was given. Raises Unavailable when it breaks off before.
        """


@runtime_checkable
class Sweeper(Protocol):
    """A driver that can find what tasks left behind of which there is no record any more."""

    async def keep_only(self, task_ids: Iterable[TaskId]) -> None:
        """Forget tasks that are absent from two calls in a row. Raises Unavailable.

        Such are left when the agent dies, or what runs the tasks goes away, between two steps.
        """


class Builder(Protocol):
    """Makes an artifact ready to run."""

    async def build(self, deployment: Deployment, artifact: Artifact | None) -> Built:
        """Unpack the artifact (once per content), or fetch the image. Raises BadArchive and Unavailable."""


class BuildReport(Protocol):
    """Hears what goes on in a build."""

    async def say(self, lines: Sequence[str]) -> None:
        """Hear lines of its log."""

    async def made(self, image_id: str) -> None:
        """Hear of an image without a name that the build has made, and that may outlive it."""


class ImageBuilder(Protocol):
    """Makes images from source, and deletes them."""

    async def build(
        self, build: Build, *, name: str, context: Path, workspace: Path, report: BuildReport
    ) -> BuiltImage:
        """Build an image from an unpacked context, and call it `name`. A cancel leaves nothing that runs.

        Raises BuildFailed, BadArchive and Unavailable.
        """

    async def has(self, image_id: str) -> bool:
        """Say whether an image is still there. Raises Unavailable."""

    async def tidy(
        self, layers: Iterable[str], in_use: Callable[[], Awaitable[Iterable[str]]]
    ) -> Sequence[str]:
        """Delete what builds made and nobody uses: their images, and these nameless ones.

        `in_use` gives names and ids of images, and ids of builds; what is there is listed before it is
        asked. Returns the nameless ones that are gone, or got a name. Raises Unavailable.
        """


class RepositoryFetcher(Protocol):
    """Gets source from Git servers."""

    async def fetch(
        self, url: str, *, ref: str | None, token: str | None, into: Path, report: BuildReport
    ) -> str:
        """Put the files of one commit into an empty folder, and return its full id.

        Raises Invalid, BuildFailed, BadArchive and Unavailable; then the folder may hold a part. A cancel
        ends every process.
        """


class SourceBuilder(Protocol):
    """Makes programs from source."""

    async def detect(self, tree: Path, options: BuildOptions) -> Recipe:
        """Find how a tree is built. `options` are the request's over those of the tree's manifest.

        The recipe named DOCKERFILE is built by an ImageBuilder. Raises BuildFailed if nothing fits, with what
        was looked for.
        """

    async def build(self, order: SourceOrder, report: BuildReport) -> Program:
        """Build a program. A cancel leaves nothing that runs.

        Raises BuildFailed, BadArchive and Unavailable.
        """


class LiveView(Protocol):
    """What only memory knows of deployments, for whoever may read but not route."""

    def live(self, deployment_id: DeploymentId) -> Live | None: ...


class UsageView(Protocol):
    """What tasks and apps were measured to use."""

    async def measure(self, task_ids: Iterable[TaskId]) -> Mapping[TaskId, Usage]:
        """Say what tasks use; those that cannot be measured now are absent."""

    async def measured(self, app_ids: Collection[AppId]) -> Mapping[AppId, Measured]: ...


class CountsView(Protocol):
    """What the router counted since the agent started."""

    def counted(self, deployment_id: DeploymentId) -> Counted | None: ...
    def ended_cpu_secs(self, deployment_id: DeploymentId) -> float:
        """Say what ended tasks used: to be asked before those that run are measured.

        Else one that ends meanwhile would be in both.
        """

    def cpu_secs(self, deployment_id: DeploymentId, *, ended: float, running: float) -> float:
        """Add what ended tasks used to what those that run did; never less than it said before."""

    def active(self, app_id: AppId | None = None) -> list[DeploymentId]:
        """Name the deployments, of one app or all, that did anything since the agent started."""
