"""The composition root: open, wire, run until a signal, close. Nothing else knows everything."""

import asyncio
import contextlib
import functools
import gc
import importlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from paas import __version__, doctor, logging_setup, systemd
from paas.apps_user import SHARED_USER_WARNING, AppsUser, find_apps_user
from paas.artifacts import ArtifactFiles
from paas.build_files import BuildFiles
from paas.build_logs import BuildLogs
from paas.builders.archive import ArchiveBuilder
from paas.builders.unpack import UnpackLimits
from paas.config import BadConfig, Config, split_address
from paas.core.checks import Check
from paas.core.errors import PaasError
from paas.core.ports import Driver, ImageBuilder
from paas.core.spec import ProcessType
from paas.docker.probe import check_engine
from paas.drivers.process import ProcessDriver
from paas.engine.admission import read_host_memory
from paas.engine.builds import Builds, BuildWorld
from paas.engine.commands import Commands, TcpPortRange
from paas.engine.janitor import Janitor, Retention
from paas.engine.metering import Metering
from paas.engine.neighbours import ProxyPlace
from paas.engine.ports import is_free
from paas.engine.reconciler import Pokes, Reconciler
from paas.engine.world import EngineSettings, World
from paas.lazily import Lazily, LazyBuilder, LazyDriver
from paas.proxy.limits import ProxyLimits
from paas.proxy.listener import Proxy
from paas.router import Router
from paas.state_directory import StateDirectory, held
from paas.store import deployments, registries
from paas.store.database import Database
from paas.store.feed import Feed
from paas.task_logs import TaskLogs
from paas.vault import Vault

if TYPE_CHECKING:
    from paas.api.kit.parts import ApiParts
    from paas.api.server import ApiServer
    from paas.containers import Containers

logger = logging.getLogger(__name__)

CLOSING_SECS = 5.0  # how long open requests may finish when the agent ends


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
    builds: Builds
    build_files: BuildFiles
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


def main(config: Config) -> int:
    """Run the agent until a signal; returns the exit code."""
    logging_setup.set_up(config.log_level)
    refused: list[PaasError] = []
    try:
        with held(config.state_directory().absolute()) as state:
            uvloop.run(_run(config, state))
    except* PaasError as errors:
        refused = _leaves(errors)
    for error in refused:
        hint = f" ({error.hint})" if error.hint else ""
        logger.critical("%s%s", error.message, hint, extra={"event": "agent.refused"})
    return 1 if refused else 0


def _leaves(group: BaseExceptionGroup[PaasError]) -> list[PaasError]:
    """Take errors out of the groups that the ends of task groups wrap them in."""
    found = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def _run(config: Config, state: StateDirectory) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    user = find_apps_user(config.tasks.user)
    if user.ids is not None:
        state.check_reachable(*user.ids)
    async with Database.open(state.database) as database, _wired(config, state, user, database) as parts:
        await _serve(config, user, parts, stopping)


@contextlib.asynccontextmanager
async def _wired(
    config: Config, state: StateDirectory, user: AppsUser, database: Database
) -> AsyncIterator[Parts]:
    vault = _vault(state)
    await vault.check(await registries.key_ids(database.reader))
    proxy_host, proxy_port = split_address(config.proxy.listen)
    clock = SystemClock()
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

    async def open_image_maker() -> ImageBuilder:
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
        if await deployments.some_of_type(database.reader, "docker"):
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
            settings=EngineSettings(
                domain=config.proxy.domain,
                first_port=config.tasks.first_port,
                last_port=config.tasks.last_port,
                drain=timedelta(seconds=config.tasks.drain_secs),
                reserved_memory_percent=config.tasks.reserved_memory_percent,
                starts_at_once=config.tasks.starts_at_once or 2 * (os.cpu_count() or 1),
            ),
            host_memory=read_host_memory,
            metering=metering,
            task_started=logs.watch,
            task_ended=logs.unwatch,
            copy_of_log=logs.copy_of,
            poke=pokes.poke,
            proxy=ProxyPlace(host=proxy_host, port=proxy_port),
        )
        build_files = BuildFiles(state.builds, config.builds.context_bytes)
        build_logs = BuildLogs(state.builds, clock, kept_bytes=config.builds.log_bytes)
        builds = Builds(
            BuildWorld(
                database=database,
                clock=clock,
                files=build_files,
                logs=build_logs,
                open_builder=open_image_maker,
                at_once=config.builds.at_once,
                kept_per_app=config.retention.builds_per_app,
            )
        )
        yield Parts(
            state=state,
            world=world,
            pokes=pokes,
            router=router,
            driver=driver,
            files=files,
            builder=builder,
            logs=logs,
            builds=builds,
            build_files=build_files,
            build_logs=build_logs,
            vault=vault,
            containers=containers,
        )


def _vault(state: StateDirectory) -> Vault:
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")  # systemd's; see systemd.exec(5)
    return Vault(state.key, credentials=Path(credentials) if credentials else None)


async def _serve(config: Config, user: AppsUser, parts: Parts, stopping: asyncio.Event) -> None:
    """Open the listeners once everything was looked at; close them again on a signal."""
    looked = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        loops = [
            group.create_task(Reconciler(parts.world, parts.pokes).run(looked), name="reconciler"),
            group.create_task(_janitor(config, parts).run(), name="janitor"),
            group.create_task(parts.world.metering.run(), name="metering"),
            group.create_task(parts.builds.run(), name="builds"),
        ]
        await looked.wait()
        async with _listening(config, user, parts):
            gc.collect()
            gc.freeze()  # what was made so far stays: a full collection would stall traffic
            await stopping.wait()
            systemd.notify("STOPPING=1")
            logger.info("Closing; tasks are left running", extra={"event": "agent.closing"})
        for loop in loops:
            loop.cancel()


@contextlib.asynccontextmanager
async def _listening(config: Config, user: AppsUser, parts: Parts) -> AsyncIterator[None]:
    proxy = Proxy(parts.router, parts.world.clock, _proxy_limits(config))
    try:
        proxy_host, proxy_port = split_address(config.proxy.listen)
        proxy_port = parts.world.proxy.port = await proxy.start(proxy_host, proxy_port)
        # The API and its library take longer to load than all the rest: traffic is let in before.
        server = await asyncio.to_thread(importlib.import_module, "paas.api.server")
        api: ApiServer = server.ApiServer(_api_parts(config, user, parts, proxy_port))
        api_host, api_port = split_address(config.api.listen)
        api_port = await api.start(api_host, api_port)
    except OSError as error:
        raise BadConfig(f"cannot listen: {error}", hint="is another agent running?") from error
    try:
        _announce(
            user, f"http://{_url_host(api_host)}:{api_port}", f"http://{_url_host(proxy_host)}:{proxy_port}"
        )
        yield
    finally:
        proxy.stop_listening()
        await proxy.drain(CLOSING_SECS)
        await proxy.close()
        await api.close()


def _api_parts(config: Config, user: AppsUser, parts: Parts, proxy_port: int) -> "ApiParts":
    from paas.api.kit.parts import AboutAgent, ApiParts, PublicUrls  # noqa: PLC0415 - see where it is called

    world = parts.world
    urls = PublicUrls(
        scheme=config.proxy.public_scheme,
        domain=config.proxy.domain,
        port=config.proxy.public_port or proxy_port,
    )
    return ApiParts(
        commands=Commands.over(
            world.database,
            parts.files,
            parts.vault,
            world.clock,
            world.poke,
            contexts=parts.build_files,
            poke_builds=parts.builds.poke,
            tcp_ports=_tcp_ports(config),
        ),
        reader=world.database.reader,
        feed=Feed(world.database),
        live=parts.router,
        counts=parts.router.counting,
        usage=world.metering,
        logs=parts.logs,
        build_logs=parts.build_logs,
        artifact_path=parts.files.path,
        urls=urls,
        about=AboutAgent(
            version=__version__,
            node_id=socket.gethostname(),
            limits=parts.driver.limits_in_force(),
            apps_user=user.name,
            shares_agent_user=user.ids is None,
            warnings=(SHARED_USER_WARNING,) if user.ids is None else (),
        ),
        clock=world.clock,
        examine=functools.partial(_examine, config, user, parts, proxy_port),
        problems=parts.problems,
        allowed_hosts=frozenset(config.api.allowed_hosts),
        blocked_uid=None if user.ids is None else user.ids[0],
    )


async def _examine(config: Config, user: AppsUser, parts: Parts, proxy_port: int) -> list[Check]:
    engine = await check_engine(config.containers.socket(), is_used=parts.containers.is_wanted)
    checks = [
        doctor.check_disk(parts.state.root),
        doctor.check_limits(parts.driver.limits_in_force()),
        doctor.check_user(user),
        engine,
    ]
    containers = parts.containers.peek()
    if containers is not None and engine.ok:
        gateway = containers.driver.network.gateway()
        checks.append(await doctor.check_proxy_reach(gateway, config.proxy.listen, proxy_port))
    return checks


def _janitor(config: Config, parts: Parts) -> Janitor:
    return Janitor(
        parts.world,
        Retention(
            deployments_per_app=config.retention.deployments_per_app,
            tasks_per_deployment=config.retention.tasks_per_deployment,
            events=config.retention.events,
            keep_logs=parts.logs.keep_only,
            keep_artifacts=parts.files.keep_only,
            keep_programs=parts.builder.keep_only,
            also=(parts.builds.tidy,),
        ),
    )


def _tcp_ports(config: Config) -> TcpPortRange:
    host, _ = split_address(config.proxy.listen)
    return TcpPortRange(
        first=config.proxy.tcp_first_port,
        last=config.proxy.tcp_last_port,
        is_free=functools.partial(is_free, host=host),
    )


def _proxy_limits(config: Config) -> ProxyLimits:
    proxy = config.proxy
    return ProxyLimits(
        head_bytes=proxy.head_bytes,
        header_count=proxy.header_count,
        head_arrival_secs=proxy.head_arrival_secs,
        idle_connection_secs=proxy.idle_connection_secs,
        connections=proxy.connections,
        waiting_per_deployment=proxy.waiting_per_deployment,
        waiting_total=proxy.waiting_total,
        wake_patience_secs=proxy.wake_patience_secs,
    )


def _announce(user: AppsUser, api_url: str, proxy_url: str) -> None:
    """Say, to people, scripts and systemd, that and where the agent listens."""
    sys.stdout.write(f"api {api_url}\nproxy {proxy_url}\n")
    sys.stdout.flush()
    logger.info("Ready", extra={"event": "agent.ready", "api": api_url, "proxy": proxy_url})
    if user.ids is None:
        logger.warning("%s", SHARED_USER_WARNING, extra={"event": "agent.shared_user"})
    systemd.notify("READY=1")


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
