"""What an agent is made of: opened in order, wired to each other, closed again. Nothing listens yet."""

import asyncio
import contextlib
import functools
import importlib
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
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
from paas.core.records import dataclass
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
    ground = _ground(config, state, database, vault)
    await sealing.settle(database, vault, ground.clock)
    await ground.files.sweep_temporary()
    await ground.builder.sweep_temporary()
    async with (
        _native(ground, user) as driver,
        Lazily(functools.partial(_load_containers, ground)) as containers,
    ):
        if await deployments.some_run_containers(database.reader):
            await containers.get()
        world = await _world(ground, driver, containers)
        commands = functools.cache(functools.partial(_load_commands, ground))
        yield Parts(
            state=state,
            world=world,
            pokes=ground.pokes,
            router=ground.router,
            driver=driver,
            files=ground.files,
            builder=ground.builder,
            logs=ground.logs,
            commands=commands,
            builds=_builds(ground, containers, commands),
            build_logs=ground.build_logs,
            vault=vault,
            containers=containers,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What all the rest is wired to."""

    config: Config
    state: StateDirectory
    database: Database
    vault: Vault
    clock: SystemClock
    pokes: Pokes
    router: Router
    files: ArtifactFiles
    builder: ArchiveBuilder
    logs: TaskLogs
    build_files: BuildFiles
    build_logs: BuildLogs
    builds_poked: asyncio.Event


def _ground(config: Config, state: StateDirectory, database: Database, vault: Vault) -> _Ground:
    clock = SystemClock()
    pokes = Pokes()
    files = ArtifactFiles(state.artifacts, config.api.upload_bytes)
    limits = UnpackLimits(bytes=config.tasks.unpacked_bytes, files=config.tasks.unpacked_files)
    return _Ground(
        config=config,
        state=state,
        database=database,
        vault=vault,
        clock=clock,
        pokes=pokes,
        router=Router(clock, pokes.poke),
        files=files,
        builder=ArchiveBuilder(state.programs, files.path, limits),
        logs=TaskLogs(state.logs, kept_bytes=config.tasks.log_bytes),
        build_files=BuildFiles(state.builds, config.builds.context_bytes),
        build_logs=BuildLogs(state.builds, clock, kept_bytes=config.builds.log_bytes),
        builds_poked=asyncio.Event(),
    )


def _native(ground: _Ground, user: AppsUser) -> ProcessDriver:
    return ProcessDriver(
        run_root=ground.state.runs,
        programs_root=ground.state.programs,
        log_path=ground.logs.path,
        homes_root=ground.state.homes,
        user=user.ids,
    )


def _load_containers(ground: _Ground) -> AbstractAsyncContextManager["Containers"]:
    """Load what speaks to the engine: it takes as long as all the rest of the agent. Blocks."""
    module = importlib.import_module("paas.containers")
    opened: AbstractAsyncContextManager[Containers] = module.opened(
        ground.config, ground.state, ground.database, ground.vault, ground.clock
    )
    return opened


def _load_commands(ground: _Ground) -> "Commands":
    """Load what may be asked: nobody asks before the API is there, and that has it loaded already."""
    module = importlib.import_module("paas.engine.commands")
    proxy = ground.config.proxy
    host, _ = split_address(proxy.listen)
    opened: Commands = module.Commands.over(
        ground.database,
        ground.files,
        ground.vault,
        ground.clock,
        ground.pokes.poke,
        sources=ground.build_files,
        poke_builds=ground.builds_poked.set,
        tcp_ports=module.TcpPortRange(
            first=proxy.tcp_first_port,
            last=proxy.tcp_last_port,
            is_free=functools.partial(is_free, host=host),
        ),
    )
    return opened


async def _world(ground: _Ground, driver: ProcessDriver, containers: "Lazily[Containers]") -> World:
    """Wire what the engine works with. What was measured before is read."""
    docker = LazyDriver(containers, lambda parts: parts.driver)
    drivers: dict[ProcessType, Driver] = {"tish": driver, "docker": docker}
    metering = Metering(ground.database, drivers.values(), ground.router.counting, ground.clock)
    await metering.load()
    host, port = split_address(ground.config.proxy.listen)
    return World(
        database=ground.database,
        router=ground.router,
        drivers=drivers,
        builders={"tish": ground.builder, "docker": LazyBuilder(containers, lambda parts: parts.builder)},
        freezers={"tish": driver, "docker": docker},
        clock=ground.clock,
        settings=_settings(ground.config),
        host_memory=read_host_memory,
        metering=metering,
        variables=Variables(ground.database.reader, ground.vault),
        task_started=ground.logs.watch,
        task_ended=ground.logs.unwatch,
        copy_of_log=ground.logs.copy_of,
        last_line=ground.logs.last_line,
        poke=ground.pokes.poke,
        proxy=ProxyPlace(host=host, port=port),
    )


def _builds(ground: _Ground, containers: "Lazily[Containers]", commands: "Callable[[], Commands]") -> Builds:
    """Wire the queue. What builds, the commands included, is loaded with the first build."""
    user = find_builds_user(ground.config.builds.user)
    choosing_images = asyncio.Lock()

    async def open_image_builder() -> ImageBuilder:
        return (await containers.get()).image_maker

    async def open_building() -> Perform:
        module = await asyncio.to_thread(importlib.import_module, "paas.build_parts")
        building: Building = module.opened(
            ground.config,
            module.BuildParts(
                database=ground.database,
                clock=ground.clock,
                vault=ground.vault,
                commands=commands(),
                artifacts=ground.files,
                files=ground.build_files,
                logs=ground.build_logs,
                open_image_builder=open_image_builder,
                choosing_images=choosing_images,
                cache_root=ground.state.build_cache,
                user=user.ids,
                no_user=user.missing,
            ),
        )
        return building.perform

    queue = BuildQueue(
        database=ground.database,
        clock=ground.clock,
        files=ground.build_files,
        logs=ground.build_logs,
        open_building=open_building,
        open_image_builder=open_image_builder,
        choosing_images=choosing_images,
        at_once=ground.config.builds.at_once,
        kept_per_app=ground.config.retention.builds_per_app,
    )
    return Builds(queue, ground.builds_poked)


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
