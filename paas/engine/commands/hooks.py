"""Take deliveries of webhooks: each is one transaction, and has an effect once, however often it comes."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import assert_never

from paas.core.builds import Rollout
from paas.core.errors import Unauthorized, Unavailable
from paas.core.model import Sealed
from paas.core.ports import Clock
from paas.core.records import dataclass
from paas.core.source_config import Origin, Outcome, SourceConfig
from paas.engine.commands.builds import BuildCommands
from paas.engine.commands.environments import EnvironmentCommands
from paas.engine.commands.from_source import queue
from paas.engine.commands.previews import Previews
from paas.engine.sources import webhook_secret
from paas.github.deliveries import (
    LeftAlone,
    News,
    Proposed,
    Pushed,
    Settled,
    document_of,
    is_signed,
    read,
    repositories_of,
)
from paas.store import deliveries, reports, source_configs
from paas.store.database import Database, Tx
from paas.vault import Vault

logger = logging.getLogger(__name__)

LARGEST_UNKNOWN_BYTES = 1024 * 1024  # of what is taken apart before anybody has vouched for it
MOST_HELD_BYTES = 64 * 1024 * 1024  # of deliveries that are being read


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What came: the body as it came, and who vouches for it."""

    id: str
    event: str
    body: bytes
    media_type: str
    signature: str


class HookCommands:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        builds: BuildCommands,
        environments: EnvironmentCommands,
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._builds = builds
        self._environments = environments
        self._held_bytes = 0

    @contextlib.contextmanager
    def room_for(self, size_bytes: int) -> Iterator[None]:
        """Hold room for a body that is about to be read. Raises Unavailable while others have it.

        Anybody may send deliveries, and who may is known only once they are read.
        """
        if self._held_bytes + size_bytes > MOST_HELD_BYTES:
            raise Unavailable("cannot take the delivery: too many come at once", code="TOO_MANY_DELIVERIES")
        self._held_bytes += size_bytes
        try:
            yield
        finally:
            self._held_bytes -= size_bytes

    async def deliver(self, delivery: Delivery) -> Sequence[Outcome]:
        """Do what follows from a delivery, for each app whose secret signed it.

        One that came before answers as it did then, and changes nothing. Raises Unauthorized,
        BadRequest for what GitHub would not write, and Unavailable while too many builds wait.
        """
        configs, document = await self._signed(delivery)
        if not configs:
            raise not_signed()
        news = await asyncio.to_thread(read, delivery.event, document)
        previews = Previews(self._builds, self._environments)
        async with self._database.transaction() as tx:
            outcomes = [await self._once(tx, config, delivery, news, previews) for config in configs]
        self._builds.poke()
        self._environments.poke_ended(previews.ended)
        return outcomes

    async def _signed(self, delivery: Delivery) -> tuple[Sequence[SourceConfig], bytes]:
        """List the apps that it is for: about their repository, and signed with their secret.

        What is large is not even taken apart before somebody has vouched for it.
        """
        if len(delivery.body) > LARGEST_UNKNOWN_BYTES:
            vouching = await self._vouching(delivery, frozenset())
            if not vouching:
                return [], b""
        document = await asyncio.to_thread(document_of, delivery.body, delivery.media_type)
        repositories = await asyncio.to_thread(repositories_of, document)
        return await self._vouching(delivery, repositories), document

    async def _vouching(self, delivery: Delivery, repositories: frozenset[str]) -> Sequence[SourceConfig]:
        candidates = await source_configs.candidates(self._database.reader, repositories)
        if not candidates:  # as slow as a wrong signature: which repositories are known is nobody's business
            await asyncio.to_thread(is_signed, delivery.body, "", delivery.signature)
        return [config for config, box in candidates if await self._is_from_owner(delivery, config, box)]

    async def _is_from_owner(self, delivery: Delivery, config: SourceConfig, sealed: Sealed) -> bool:
        try:
            secret = await webhook_secret(self._vault, config, sealed)
        except Unavailable as error:  # the others' deliveries are still good
            logger.warning("%s", error.message, extra={"event": "delivery.unread", "app": config.app_id})
            return False
        return await asyncio.to_thread(is_signed, delivery.body, secret, delivery.signature)

    async def _once(
        self, tx: Tx, config: SourceConfig, delivery: Delivery, news: News, previews: Previews
    ) -> Outcome:
        before = await deliveries.outcome_of(tx, config.app_id, delivery.id)
        if before is not None:
            return before
        outcome = await self._effect(tx, config, news, previews)
        await deliveries.insert(tx, delivery.id, delivery.event, outcome, now=self._clock.now())
        return outcome

    async def _effect(self, tx: Tx, config: SourceConfig, news: News, previews: Previews) -> Outcome:
        match news:
            case Pushed():
                return await self._push(tx, config, news)
            case Proposed():
                return await previews.propose(tx, config, news)
            case Settled():
                return await previews.settle(tx, config, news)
            case LeftAlone(reason=reason):
                return _nothing(config, reason)
        assert_never(news)

    async def _push(self, tx: Tx, config: SourceConfig, push: Pushed) -> Outcome:
        if push.branch != config.branch:
            return _nothing(config, f"the branch {push.branch} is left alone: {config.branch} is deployed")
        if not config.auto_deploy:
            return _nothing(config, "pushes are left alone: auto_deploy is off")
        if push.is_skipped:
            return _nothing(config, "the message of the commit asks to be left alone")
        build = await queue(
            tx,
            self._builds,
            config,
            push.commit,
            Rollout(environment=config.environment, cause="push"),
            Origin(branch=push.branch),
            replaces=True,
        )
        await reports.add_commit(tx, build, push.commit)
        return Outcome(
            app_id=config.app_id,
            action="build",
            reason=f"commit {push.commit} of {push.branch} is built and deployed to {config.environment}",
            environment=config.environment,
            build_id=build.id,
        )


def not_signed() -> Unauthorized:
    """Say no, and not why: whether a repository is known, too, is nobody's business."""
    return Unauthorized(
        "cannot take the delivery: it is not signed with the webhook secret of an app of its repository",
        code="SIGNATURE_INVALID",
        hint="set the same secret in GitHub's hook and in the app's source config",
    )


def _nothing(config: SourceConfig, reason: str) -> Outcome:
    return Outcome(app_id=config.app_id, action="none", reason=reason)
