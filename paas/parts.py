"""What an agent is made of: opened in order, wired to each other, closed again. Nothing listens yet."""

import asyncio
import contextlib
import functools
import importlib
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from paas import doctor
from paas.apps_user import AppsUser, find_builds_user
from paas.artifacts import ArtifactFiles
from paas.build_files import BuildFiles
from paas.build_logs import BuildLogs
from paas.builders.archive import ArchiveBuilder
from paas.builders.trees import UnpackLimits
from paas.config import Config, split_address
from paas.core.ports import Driver, ImageBuilder
from paas.core.spec import ProcessType
from paas.drivers.process import ProcessDriver
from paas.engine import sealing
from paas.engine.admission import read_host_memory
from paas.engine.builds import BuildQueue, Builds, Perform
from paas.engine.metering import Metering
from paas.engine.neighbours import ProxyPlace
from paas.engine.ports import is_free
from paas.engine.reconciler import Pokes
from paas.engine.variables import Variables
from paas.engine.world import EngineSettings, World
from paas.lazily import Lazily, LazyBuilder, LazyDriver
from paas.router import Router
from paas.state_directory import StateDirectory
from paas.store import deployments
from paas.store.database import Database
from paas.task_logs import TaskLogs
from paas.vault import Vault

if TYPE_CHECKING:
    from paas.containers import Containers
    from paas.engine.building import Building
    from paas.engine.commands import Commands


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What was opened and wired, before anything listens."""

    state: StateDirectory
    world: World
    pokes: Pokes
    router: Router
    driver: ProcessDriver
    files: ArtifactFiles
    builder: ArchiveBuilder
    logs: TaskLogs
    commands: "Callable[[], Commands]"  # the same each time
    builds: Builds
    build_logs: BuildLogs
    vault: Vault
    containers: "Lazily[Containers]"

    def problems(self) -> list[str]:
        """Say what an owner should mend, one sentence each."""
        disk = doctor.check_disk(self.state.root)
        found = [] if disk.ok else [disk.detail]
        containers = self.containers.peek()
        trouble = None if containers is None else containers.driver.trouble
        return found if trouble is None else [*found, f"{trouble} (paas doctor says how to mend it)"]


@contextlib.asynccontextmanager
async def wired(
    config: Config, state: StateDirectory, user: AppsUser, database: Database, vault: Vault
) -> AsyncIterator[Parts]:
    proxy_host, proxy_port = split_address(config.proxy.listen)
    clock = SystemClock()
    await sealing.settle(database, vault, clock)
    pokes = Pokes()
    router = Router(clock, pokes.poke)
    files = ArtifactFiles(state.artifacts, config.api.upload_bytes)
    limits = UnpackLimits(bytes=config.tasks.unpacked_bytes, files=config.tasks.unpacked_files)
    builder = ArchiveBuilder(state.programs, files.path, limits)
    logs = TaskLogs(state.logs, kept_bytes=config.tasks.log_bytes)
    await files.sweep_temporary()
    await builder.sweep_temporary()

    def load_containers() -> AbstractAsyncContextManager["Containers"]:
        """Load what speaks to the engine: it takes as long as all the rest of the agent. Blocks."""
        module = importlib.import_module("paas.containers")
        opened: AbstractAsyncContextManager[Containers] = module.opened(config, state, database, vault, clock)
        return opened

    async def open_image_builder() -> ImageBuilder:
        return (await containers.get()).image_maker

    async with (
        ProcessDriver(
            run_root=state.runs,
            programs_root=state.programs,
            log_path=logs.path,
            homes_root=state.homes,
            user=user.ids,
        ) as driver,
        Lazily(load_containers) as containers,
    ):
        if await deployments.some_run_containers(database.reader):
            await containers.get()
        docker = LazyDriver(containers, lambda parts: parts.driver)
        drivers: dict[ProcessType, Driver] = {"tish": driver, "docker": docker}
        metering = Metering(database, drivers.values(), router.counting, clock)
        await metering.load()
        world = World(
            database=database,
            router=router,
            drivers=drivers,
            builders={"tish": builder, "docker": LazyBuilder(containers, lambda parts: parts.builder)},
            freezers={"tish": driver, "docker": docker},
            clock=clock,
            settings=_settings(config),
            host_memory=read_host_memory,
            metering=metering,
            variables=Variables(database.reader, vault),
            task_started=logs.watch,
            task_ended=logs.unwatch,
            copy_of_log=logs.copy_of,
            last_line=logs.last_line,
            poke=pokes.poke,
            proxy=ProxyPlace(host=proxy_host, port=proxy_port),
        )
        build_files = BuildFiles(state.builds, config.builds.context_bytes)
        build_logs = BuildLogs(state.builds, clock, kept_bytes=config.builds.log_bytes)
        builds_poked = asyncio.Event()
        builds_user = find_builds_user(config.builds.user)
        choosing_images = asyncio.Lock()

        @functools.cache
        def commands() -> "Commands":
            """Load what may be asked: nobody asks before the API is there, and that has it loaded already."""
            module = importlib.import_module("paas.engine.commands")
            opened: Commands = module.Commands.over(
                database,
                files,
                vault,
                clock,
                pokes.poke,
                sources=build_files,
                poke_builds=builds_poked.set,
                tcp_ports=module.TcpPortRange(
                    first=config.proxy.tcp_first_port,
                    last=config.proxy.tcp_last_port,
                    is_free=functools.partial(is_free, host=proxy_host),
                ),
            )
            return opened

        async def open_building() -> Perform:
            """Load what builds, the commands included: an agent that builds nothing does without."""
            module = await asyncio.to_thread(importlib.import_module, "paas.build_parts")
            building: Building = module.opened(
                config,
                module.BuildParts(
                    database=database,
                    clock=clock,
                    vault=vault,
                    commands=commands(),
                    artifacts=files,
                    files=build_files,
                    logs=build_logs,
                    open_image_builder=open_image_builder,
                    choosing_images=choosing_images,
                    cache_root=state.build_cache,
                    user=builds_user.ids,
                    no_user=builds_user.missing,
                ),
            )
            return building.perform

        yield Parts(
            state=state,
            world=world,
            pokes=pokes,
            router=router,
            driver=driver,
            files=files,
            builder=builder,
            logs=logs,
            builds=Builds(
                BuildQueue(
                    database=database,
                    clock=clock,
                    files=build_files,
                    logs=build_logs,
                    open_building=open_building,
                    open_image_builder=open_image_builder,
                    choosing_images=choosing_images,
                    at_once=config.builds.at_once,
                    kept_per_app=config.retention.builds_per_app,
                ),
                builds_poked,
            ),
            commands=commands,
            build_logs=build_logs,
            vault=vault,
            containers=containers,
        )


def _settings(config: Config) -> EngineSettings:
    return EngineSettings(
        domain=config.proxy.domain,
        first_port=config.tasks.first_port,
        last_port=config.tasks.last_port,
        drain=timedelta(seconds=config.tasks.drain_secs),
        reserved_memory_percent=config.tasks.reserved_memory_percent,
        starts_at_once=config.tasks.starts_at_once or 2 * (os.cpu_count() or 1),
    )


def vault_of(state: StateDirectory) -> Vault:
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")  # systemd's; see systemd.exec(5)
    return Vault(state.key, credentials=Path(credentials) if credentials else None)
