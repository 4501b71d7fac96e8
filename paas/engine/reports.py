"""The loop that tells GitHub how commits fare and where previews are. Nothing waits for it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from paas.core import reports as words
from paas.core.errors import Forbidden, NotFound, PaasError, Unavailable
from paas.core.model import App
from paas.core.ports import Clock
from paas.core.records import dataclass
from paas.core.reports import Report, Standing, State
from paas.core.repositories import full_name, is_served_by
from paas.core.source_config import SourceConfig
from paas.core.urls import PublicUrls
from paas.engine.sources import git_token
from paas.github.place import Later, Place
from paas.store import apps, builds, deployments, environments, reports, source_configs
from paas.store.database import Database, Reader
from paas.vault import Vault

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECS, LONGEST_PAUSE_SECS = 5.0, 3600.0
GIVEN_UP_SECS = 24 * 3600.0
TOLD_BY = ("build.", "deployment.", "delivery.", "environment.", "source.")  # events worth another look


class CodeHost(Protocol):
    """Where commits and pull requests are. Raises Unavailable (try again), NotFound and Forbidden."""

    async def set_state(
        self, place: Place, commit: str, state: State, *, context: str, description: str, target_url: str
    ) -> None: ...
    async def put_comment(
        self, place: Place, number: int, text: str, *, marker: str, comment_id: int | None
    ) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportWorld:
    """What telling needs, and plain settings."""

    database: Database
    vault: Vault
    clock: Clock
    api_url: str
    connected: Callable[[], AbstractAsyncContextManager[CodeHost]]  # loads what speaks to it
    urls: Callable[[], PublicUrls]
    first_pause_secs: float = FIRST_PAUSE_SECS


@dataclass(frozen=True, slots=True, kw_only=True)
class _News:
    """What GitHub is to be told of one report. `text` differs whenever that does."""

    report: Report
    app: App
    config: SourceConfig
    text: str
    is_last: bool  # nothing will follow
    standing: Standing
    environment: str
    url: str


class Reports:
    """Tells what is true, whoever made it so: what was told last is kept beside it.

    One that was told but not noted, because the agent ended between, is told again: GitHub shows the same.
    """

    def __init__(self, world: ReportWorld) -> None:
        self._world = world
        self._poked = asyncio.Event()
        self._are_open = True  # or it is not known whether
        world.database.after_commit.append(self._hear)

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            self._poked.clear()
            pause: float | None = FIRST_PAUSE_SECS
            try:
                pause = await self._pass()
            except (PaasError, OSError) as error:
                logger.warning("Cannot look at the reports: %s", error, extra={"event": "reports.failed"})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._poked.wait()

    def _hear(self, touched: frozenset[str]) -> None:
        is_wanted = self._are_open or "delivery.received" in touched
        if is_wanted and any(name.startswith(TOLD_BY) for name in touched):
            self._poked.set()

    async def _pass(self) -> float | None:
        """Tell what is due, and say in how many seconds more is; None: once something happens."""
        reader = self._world.database.reader
        self._are_open = True
        found = await reports.all_open(reader)
        self._are_open = bool(found)
        now = self._world.clock.now()
        news = [each for each in [await self._untold(report) for report in found] if each is not None]
        due = [each for each in news if each.report.try_at <= now]
        if due:
            async with self._world.connected() as host:
                for each in due:
                    await self._tell(host, each)
            return 0.0
        return min((each.report.try_at - now for each in news), default=None)

    async def _untold(self, report: Report) -> _News | None:
        """Say what GitHub does not know yet; forgets a report of which there is nothing more to tell."""
        news = await self._news(self._world.database.reader, report)
        if news is None:
            async with self._world.database.record() as tx:
                if await self._news(tx, report) is None:
                    await reports.delete(tx, report)
            return None
        return None if news.text == report.told else news

    async def _news(self, reader: Reader, report: Report) -> _News | None:
        """Say what is true of a report; None if there is nothing to tell."""
        app = await apps.get(reader, report.app_id)
        config = await source_configs.get(reader, report.app_id)
        if app is None or config is None or not self._may_tell(config):
            return None
        return await (self._of_commit if report.build_id else self._of_preview)(reader, report, app, config)

    def _may_tell(self, config: SourceConfig) -> bool:
        return config.has_token and is_served_by(config.repository_url, self._world.api_url)

    async def _of_commit(
        self, reader: Reader, report: Report, app: App, config: SourceConfig
    ) -> _News | None:
        build = None if report.build_id is None else await builds.get(reader, report.build_id)
        if build is None:
            return None
        made = None if build.deployment_id is None else await deployments.get(reader, build.deployment_id)
        found = words.standing(build, made)
        return _News(
            report=report,
            app=app,
            config=config,
            text=f"{found.state}: {words.description(found)}",
            is_last=found.state != "pending",
            standing=found,
            environment=build.environment,
            url=await self._url(reader, app, build.environment),
        )

    async def _of_preview(
        self, reader: Reader, report: Report, app: App, config: SourceConfig
    ) -> _News | None:
        number = report.pull_request or 0
        build = await reports.newest_build(reader, app.id, number)
        if build is None:
            return None
        made = None if build.deployment_id is None else await deployments.get(reader, build.deployment_id)
        found = words.standing(build, made)
        environment = await environments.get(reader, app.id, build.environment)
        is_gone = environment is None or environment.pull_request != number
        url = await self._url(reader, app, build.environment)
        commit = build.source.commit or build.source.ref or ""
        return _News(
            report=report,
            app=app,
            config=config,
            text=words.farewell(app) if is_gone else words.comment(app, commit, found, url),
            is_last=is_gone,
            standing=found,
            environment=build.environment,
            url=url,
        )

    async def _url(self, reader: Reader, app: App, slug: str) -> str:
        """Say where an environment is, or was; the app's own host where it has none."""
        environment = await environments.get(reader, app.id, slug)
        label = environment.label if environment is not None else None
        urls = self._world.urls()
        return urls.of(f"{label or app.subdomain}.{urls.domain}")

    async def _tell(self, host: CodeHost, news: _News) -> None:
        report, comment_id = news.report, news.report.comment_id
        try:
            comment_id = await self._send(host, news)
        except (Forbidden, NotFound) as error:
            logger.warning(
                "%s; does the token allow it?",
                error.message,
                extra={"event": "report.refused", "app": news.app.id},
            )
        except Unavailable as error:
            await self._put_off(news, error)
            return
        async with self._world.database.record() as tx:
            after = await self._news(tx, report)
            if news.is_last and (after is None or after.is_last):  # else it was opened again meanwhile
                await reports.delete(tx, report)
            else:
                await reports.note_told(tx, report, news.text, comment_id=comment_id)

    async def _send(self, host: CodeHost, news: _News) -> int | None:
        world, report = self._world, news.report
        url = news.config.repository_url
        token = await git_token(world.database.reader, world.vault, news.app.id, url)
        if token is None:
            raise Forbidden("cannot tell GitHub: the app's source config has no token any more")
        place = Place(full_name=full_name(url), token=token)
        if report.commit_id is not None:
            await host.set_state(
                place,
                report.commit_id,
                news.standing.state,
                context=words.context(news.app, news.environment),
                description=words.description(news.standing),
                target_url=news.url,
            )
            return None
        return await host.put_comment(
            place,
            report.pull_request or 0,
            news.text,
            marker=words.marker(news.app),
            comment_id=report.comment_id,
        )

    async def _put_off(self, news: _News, error: Unavailable) -> None:
        """Try again later, with growing pauses, and give up after a day."""
        report, now = news.report, self._world.clock.now()
        since = now if report.failing_since is None else report.failing_since
        pause = min(self._world.first_pause_secs * 2**report.attempts, LONGEST_PAUSE_SECS)
        if isinstance(error, Later):
            pause = max(pause, min(error.after_secs, LONGEST_PAUSE_SECS))
        gives_up = now + pause - since > GIVEN_UP_SECS
        async with self._world.database.record() as tx:
            if gives_up:
                await reports.note_told(tx, report, news.text, comment_id=report.comment_id)
            else:
                await reports.note_failed(tx, report, since=since, try_at=now + pause)
        logger.warning(
            "%s; %s",
            error.message,
            "given up" if gives_up else f"tried again in {pause:.0f} s",
            extra={"event": "report.failed", "app": news.app.id},
        )
