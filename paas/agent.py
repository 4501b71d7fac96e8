"""The composition root: open, wire, run until a signal, close. Nothing else knows everything."""

import asyncio
import contextlib
import ctypes
import functools
import gc
import importlib
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import uvloop

from paas import __version__, doctor, logging_setup, systemd
from paas.apps_user import SHARED_USER_WARNING, AppsUser, find_apps_user, find_builds_user
from paas.config import BadConfig, Config, split_address
from paas.core.checks import Check
from paas.core.errors import PaasError
from paas.core.urls import PublicUrls
from paas.docker.probe import check_engine
from paas.engine import sealing
from paas.engine.janitor import Janitor, Retention
from paas.engine.reconciler import Reconciler
from paas.parts import Parts, vault_of, wired
from paas.proxy.limits import ProxyLimits
from paas.proxy.listener import Proxy
from paas.state_directory import StateDirectory, held
from paas.store.database import Database
from paas.store.feed import Feed

if TYPE_CHECKING:
    from paas.api.kit.parts import ApiParts
    from paas.api.server import ApiServer
    from paas.github.client import GitHubClient

logger = logging.getLogger(__name__)

CLOSING_SECS = 5.0  # how long open requests may finish when the agent ends


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
    vault = vault_of(state)
    async with (
        Database.open(state.database, check=functools.partial(sealing.check, vault)) as database,
        wired(config, state, user, database, vault) as parts,
    ):
        await _serve(config, user, parts, stopping)


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
            _settle_memory()
            loops.append(group.create_task(_report(config, parts), name="reports"))
            await stopping.wait()
            systemd.notify("STOPPING=1")
            logger.info("Closing; tasks are left running", extra={"event": "agent.closing"})
        for loop in loops:
            loop.cancel()


def _settle_memory() -> None:
    """Keep what was made so far for good, and give back what making it took: about a mebibyte."""
    gc.collect()
    gc.freeze()  # a full collection would stall traffic
    with contextlib.suppress(AttributeError):  # it is glibc's
        ctypes.CDLL(None).malloc_trim(0)


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
    from paas.api.kit.parts import AboutAgent, ApiParts  # noqa: PLC0415 - see where it is called

    world = parts.world
    others = (user, find_builds_user(config.builds.user))
    return ApiParts(
        commands=parts.commands(),
        reader=world.database.reader,
        variables=world.variables,
        feed=Feed(world.database),
        live=parts.router,
        counts=parts.router.counting,
        usage=world.metering,
        logs=parts.logs,
        build_logs=parts.build_logs,
        artifact_path=parts.files.path,
        urls=_public_urls(config, proxy_port),
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
        blocked_uids=frozenset(each.ids[0] for each in others if each.ids is not None),
    )


def _public_urls(config: Config, proxy_port: int) -> PublicUrls:
    return PublicUrls(
        scheme=config.proxy.public_scheme,
        domain=config.proxy.domain,
        port=config.proxy.public_port or proxy_port,
    )


async def _examine(config: Config, user: AppsUser, parts: Parts, proxy_port: int) -> list[Check]:
    engine = await check_engine(config.containers.socket(), is_used=parts.containers.is_wanted)
    checks = [
        doctor.check_disk(parts.state.root),
        doctor.check_limits(parts.driver.limits_in_force()),
        doctor.check_user(user),
        doctor.check_git(),
        doctor.check_builds(find_builds_user(config.builds.user)),
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


async def _report(config: Config, parts: Parts) -> None:
    """Tell hosts of repositories what came of it, until cancelled."""

    @contextlib.asynccontextmanager
    async def connected() -> AsyncIterator["GitHubClient"]:
        client = await asyncio.to_thread(importlib.import_module, "paas.github.client")
        async with client.connected(config.github.api_url) as host:
            yield host

    module = await asyncio.to_thread(importlib.import_module, "paas.engine.reports")
    world = module.ReportWorld(
        database=parts.world.database,
        vault=parts.vault,
        clock=parts.world.clock,
        api_url=config.github.api_url,
        connected=connected,
        urls=lambda: _public_urls(config, parts.world.proxy.port),
    )
    await module.Reports(world).run()


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
