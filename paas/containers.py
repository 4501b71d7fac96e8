"""All that speaks to the container engine, opened together, and only where somebody wants a container."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from paas.builders.dockerfile import BuildLimits, DockerfileBuilder
from paas.builders.image import ImageBuilder
from paas.config import BuildsConfig, Config
from paas.core.model import Deployment
from paas.core.ports import Clock
from paas.core.records import dataclass
from paas.docker.engine import DockerEngine
from paas.docker.images import Images, PullProgress
from paas.drivers.docker import DockerDriver
from paas.drivers.docker_volumes import VolumeRoots
from paas.engine import registries
from paas.state_directory import StateDirectory
from paas.store import deployments
from paas.store.database import Database
from paas.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Containers:
    driver: DockerDriver
    builder: ImageBuilder
    image_maker: DockerfileBuilder


@asynccontextmanager
async def opened(
    config: Config, state: StateDirectory, database: Database, vault: Vault, clock: Clock
) -> AsyncIterator[Containers]:
    """Open them; an engine that does not answer is waited for, and named when it is asked something."""
    socket = config.containers.socket()
    roots = tuple(map(Path, config.containers.volume_roots))
    volumes = VolumeRoots(own=state.volumes, others=roots, socket=socket)

    async def credentials(registry: str) -> tuple[str, str] | None:
        return await registries.credentials(database.reader, vault, registry)

    async def report_pull(deployment: Deployment, progress: PullProgress) -> None:
        async with database.record() as tx:
            await deployments.note_pull(
                tx, deployment, now=clock.now(), done=progress.done_bytes, total=progress.total_bytes
            )

    async with DockerEngine(socket) as engine:
        images = Images(engine, credentials)
        agent_id = state.agent_id()
        async with DockerDriver(engine=engine, images=images, agent_id=agent_id, volumes=volumes) as driver:
            yield Containers(
                driver=driver,
                builder=ImageBuilder(engine, images, report_pull),
                image_maker=DockerfileBuilder(engine, agent_id, _build_limits(config.builds)),
            )


def _build_limits(builds: BuildsConfig) -> BuildLimits:
    return BuildLimits(
        secs=builds.timeout_secs,
        memory_bytes=builds.memory_bytes,
        cpus=builds.cpus,
        image_bytes=builds.image_bytes,
    )
