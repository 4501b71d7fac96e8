"""Build an image from a Dockerfile, inside the engine: the classic builder of the Docker Engine API.

https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageBuild
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import aiodocker
import aiohttp

from paas.builders.build_context import check_dockerfile, ignore_of, tar_of
from paas.builders.build_output import BuildOutput
from paas.builders.built_images import BuiltImages
from paas.builders.disk import LEAST_FREE_BYTES, watch
from paas.core.builds import Build, BuiltImage
from paas.core.errors import BuildFailed, Unavailable
from paas.core.ports import BuildReport
from paas.core.records import dataclass
from paas.docker.engine import DockerEngine, Refused

CPU_PERIOD_MICROSECONDS = 100_000
CLASSIC = "1"  # the other builder wants a session for each build, which is a protocol of its own
DOCKERFILE = "Dockerfile"  # its name where none is said
SENT_AT_ONCE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildLimits:
    """What one build may take."""

    secs: float
    memory_bytes: int  # of each step; no swap
    cpus: float
    image_bytes: int
    free_bytes: int = LEAST_FREE_BYTES  # that it leaves on each disk


class DockerfileBuilder:
    """Implements `core.ports.ImageBuilder`. Touches only images that carry the agent's id, and own layers."""

    def __init__(self, engine: DockerEngine, agent_id: str, limits: BuildLimits) -> None:
        self._engine = engine
        self._images = BuiltImages(engine, agent_id)
        self._limits = limits
        self._left: set[str] = set()  # containers of steps that an engine which went away may have kept

    async def build(
        self, build: Build, *, name: str, context: Path, workspace: Path, report: BuildReport
    ) -> BuiltImage:
        """See `core.ports.ImageBuilder`. Neither variables nor secrets of the agent's reach a step.

        A cancel closes the connection: the engine kills the step's container then.
        """
        labels = self._images.labels(build.id)
        output = BuildOutput(labels=len(labels), memory_bytes=self._limits.memory_bytes)
        dockerfile = build.options.dockerfile or DOCKERFILE
        try:
            async with asyncio.timeout(self._limits.secs), self._disks_watched(workspace):
                await asyncio.to_thread(check_dockerfile, context, dockerfile)
                ignore = await asyncio.to_thread(ignore_of, context, dockerfile)
                await self._build(self._wish(build, name, labels), tar_of(context, ignore), output, report)
        except TimeoutError:
            where = output.where(", in ")
            raise BuildFailed(
                f"cannot build: not done after {self._limits.secs:g} s{where}",
                hint="builds.timeout_secs in the agent's configuration allows more",
            ) from None
        return await self._check_size(name)

    async def has(self, image_id: str) -> bool:
        """See `core.ports.ImageBuilder`."""
        return await self._images.find(image_id) is not None

    async def tidy(
        self, layers: Iterable[str], in_use: Callable[[], Awaitable[Iterable[str]]]
    ) -> Sequence[str]:
        """See `core.ports.ImageBuilder`."""
        await self._remove_left()
        return await self._images.tidy(layers, in_use)

    async def _remove_left(self) -> None:
        for container in sorted(self._left):
            with contextlib.suppress(Refused):  # it is gone
                async with self._engine.asked("remove what a build left", more_secs=60) as docker:
                    await docker.containers.container(container).delete(force=True, v=True)
            self._left.discard(container)

    @contextlib.asynccontextmanager
    async def _disks_watched(self, workspace: Path) -> AsyncIterator[None]:
        """Give the block up, with BuildFailed, once the agent's or the engine's disk is nearly full."""
        async with self._engine.asked("build") as docker:
            engines = Path((await docker.system.info())["DockerRootDir"])
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(watch((workspace, engines), self._limits.free_bytes))
                yield
                watching.cancel()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    def _wish(self, build: Build, name: str, labels: Mapping[str, str]) -> Mapping[str, str]:
        limits, options = self._limits, build.options
        wish = {
            "version": CLASSIC,
            "t": name,
            "dockerfile": options.dockerfile or DOCKERFILE,
            "buildargs": json.dumps(dict(options.args)),
            "labels": json.dumps(labels),
            "nocache": "1" if options.no_cache else "0",
            "rm": "1",
            "forcerm": "1",
            "memory": str(limits.memory_bytes),
            "memswap": str(limits.memory_bytes),
            "cpuperiod": str(CPU_PERIOD_MICROSECONDS),
            "cpuquota": str(round(limits.cpus * CPU_PERIOD_MICROSECONDS)),
        }
        return wish if options.target is None else wish | {"target": options.target}

    async def _build(
        self, wish: Mapping[str, str], tar: Iterator[bytes], output: BuildOutput, report: BuildReport
    ) -> None:
        try:
            async with self._engine.followed("build") as docker:
                await _follow(docker, wish, tar, output, report)
        except Refused as error:  # before the first step: the Dockerfile itself is wrong
            raise BuildFailed(error.message) from error
        except Unavailable as error:
            if output.container is not None:
                self._left.add(output.container)
            if not output.where() or not isinstance(error.__cause__, aiohttp.ClientError):
                raise
            message = f"cannot build: the container engine went away{output.where(', in ')}"
            raise Unavailable(message, hint=error.hint) from error
        try:
            output.finish()
        finally:
            await _report(output, report)

    async def _check_size(self, name: str) -> BuiltImage:
        found = await self._images.find(name)
        if found is None:
            raise BuildFailed(f"cannot build: somebody deleted {name} at once")
        size_bytes = int(found["Size"])
        if size_bytes > self._limits.image_bytes:
            await self._images.delete(name)
            raise BuildFailed(
                f"cannot keep the image: it has {size_bytes} bytes, {self._limits.image_bytes} are allowed",
                hint="builds.image_bytes in the agent's configuration allows more",
            )
        return BuiltImage(name=name, id=str(found["Id"]), size_bytes=size_bytes)


async def _follow(
    docker: aiodocker.Docker,
    wish: Mapping[str, str],
    tar: Iterator[bytes],
    output: BuildOutput,
    report: BuildReport,
) -> None:
    async with docker._query(  # noqa: SLF001 - its own `build` knows neither limits nor targets
        "build",
        "POST",
        params=dict(wish),
        data=_sent(tar),
        headers={"Content-Type": "application/x-tar"},
    ) as response:
        try:
            async for content in response.content.iter_any():
                try:
                    output.feed(content)
                finally:
                    await _report(output, report)
        finally:
            response.close()  # where it is cut short, this is what cancels the build


async def _sent(tar: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Read the tar in a thread, about a mebibyte at once."""
    while content := await asyncio.to_thread(_gathered, tar):
        yield content


def _gathered(tar: Iterator[bytes]) -> bytes:
    gathered = bytearray()
    for piece in tar:
        gathered += piece
        if len(gathered) >= SENT_AT_ONCE:
            break
    return bytes(gathered)


async def _report(output: BuildOutput, report: BuildReport) -> None:
    lines, layers = output.take()
    if lines:
        await report.say(lines)
    for layer in layers:
        await report.made(layer)
