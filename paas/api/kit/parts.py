"""What handlers are given: commands, reads, and what only the running agent knows."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from aiohttp import web

from paas.build_logs import BuildLogs
from paas.core.checks import Check
from paas.core.ports import Clock, CountsView, LiveView, UsageView
from paas.core.records import dataclass, field
from paas.core.urls import PublicUrls
from paas.engine.commands import Commands
from paas.engine.variables import Variables
from paas.store.database import Reader
from paas.store.feed import Feed
from paas.task_logs import TaskLogs


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutAgent:
    """What `/api/v1/version` says of this agent; `warnings` are sentences."""

    version: str
    node_id: str
    limits: Mapping[str, str]  # of memory and cpu, and what holds a task together: what enforces them
    apps_user: str  # that hosted apps run as
    shares_agent_user: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParts:
    commands: Commands
    reader: Reader
    variables: Variables
    feed: Feed
    live: LiveView
    counts: CountsView
    usage: UsageView
    logs: TaskLogs
    build_logs: BuildLogs
    artifact_path: Callable[[str], Path]
    urls: PublicUrls
    about: AboutAgent
    clock: Clock
    examine: Callable[[], Awaitable[Sequence[Check]]]
    problems: Callable[[], Sequence[str]] = tuple  # sentences; none: healthy
    allowed_hosts: frozenset[str] = field(default_factory=frozenset)  # beside localhost and where it listens
    blocked_uids: frozenset[int] = frozenset()  # of hosted apps and builds, unless they are ours
    heartbeat_secs: float = 15.0
    build_wait_secs: float = (
        300.0  # that an answer waits for a build: contract of the native API, section 1.4
    )


PARTS = web.AppKey("parts", ApiParts)
