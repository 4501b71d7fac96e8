"""Say where an app's source is, or forget it."""

from msgspec import UNSET, UnsetType

from paas.core.errors import NotFound
from paas.core.ids import AppId
from paas.core.model import Sealed
from paas.core.ports import Clock
from paas.core.records import dataclass, field
from paas.core.repositories import check_url, key_of
from paas.core.source_config import SourceConfig
from paas.engine.commands.versions import existing_app
from paas.engine.sources import TOKEN, WEBHOOK_SECRET
from paas.store import source_configs
from paas.store.database import Database
from paas.store.source_configs import Secrets
from paas.vault import Vault

NOTHING = Secrets(token=None, webhook_secret=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRequest:
    """A wish for a source config. A secret that is not given stays; None takes it away."""

    app_id: AppId
    repository_url: str
    branch: str
    path: str
    auto_deploy: bool
    previews: bool
    environment: str
    token: str | UnsetType | None = field(default=UNSET, repr=False)
    webhook_secret: str | UnsetType | None = field(default=UNSET, repr=False)


class SourceCommands:
    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    async def put(self, request: SourceRequest) -> SourceConfig:
        """Keep where an app's source is; replaces what was kept.

        Secrets are forgotten with the repository they were for, unless new ones are given.
        Raises NotFound for the app, Invalid, and Unavailable if it cannot be written.
        """
        check_url(request.repository_url)
        now = self._clock.now()
        async with self._database.transaction() as tx:
            await existing_app(tx, request.app_id)
            token = await self._sealed(TOKEN, request.app_id, request.token)
            secret = await self._sealed(WEBHOOK_SECRET, request.app_id, request.webhook_secret)
            before = await source_configs.get_with_secrets(tx, request.app_id)
            kept = _kept(before, request.repository_url)
            secrets = Secrets(
                token=kept.token if isinstance(token, UnsetType) else token,
                webhook_secret=kept.webhook_secret if isinstance(secret, UnsetType) else secret,
            )
            config = SourceConfig(
                app_id=request.app_id,
                repository_url=request.repository_url,
                branch=request.branch,
                path=request.path,
                auto_deploy=request.auto_deploy,
                previews=request.previews,
                environment=request.environment,
                has_token=secrets.token is not None,
                has_webhook_secret=secrets.webhook_secret is not None,
                created_at=now if before is None else before[0].created_at,
                updated_at=now,
            )
            await source_configs.put(tx, config, secrets)
        return config

    async def delete(self, app_id: AppId) -> None:
        """Forget an app's source config with its secrets. Raises NotFound."""
        async with self._database.transaction() as tx:
            await existing_app(tx, app_id)
            if not await source_configs.delete(tx, app_id, now=self._clock.now()):
                raise no_source(app_id)

    async def _sealed(
        self, owner: str, app_id: AppId, value: str | UnsetType | None
    ) -> Sealed | UnsetType | None:
        return await self._vault.seal(owner, app_id, value) if isinstance(value, str) else value


def no_source(app_id: AppId) -> NotFound:
    return NotFound(
        f"no source is configured for the app {app_id}",
        code="SOURCE_NOT_FOUND",
        hint=f"set it with PUT /api/v1/apps/{app_id}/source-config, or `paas source set`",
    )


def _kept(before: tuple[SourceConfig, Secrets] | None, url: str) -> Secrets:
    """Keep secrets for the repository that they were given for, and for no other."""
    if before is None or key_of(before[0].repository_url) != key_of(url):
        return NOTHING
    return before[1]
