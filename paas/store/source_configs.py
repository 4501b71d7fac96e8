"""SQL about where the sources of apps are."""

import sqlite3
from collections.abc import Collection

from paas.core.ids import AppId
from paas.core.model import Sealed
from paas.core.records import dataclass
from paas.core.repositories import key_of
from paas.core.source_config import SourceConfig
from paas.store import feed
from paas.store.database import Reader, Tx

MOST_CANDIDATES = 100  # whose secrets one delivery is held against

_PLAIN = "app_id, repository_url, branch, path, auto_deploy, previews, environment, created_at, updated_at"
_SEALED = "token_key_id, sealed_token, secret_key_id, sealed_secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    token: Sealed | None
    webhook_secret: Sealed | None


async def put(tx: Tx, config: SourceConfig, secrets: Secrets) -> None:
    """Add an app's source config, or replace it but for its birth."""
    token, secret = secrets.token, secrets.webhook_secret
    await tx.write(
        f"INSERT OR REPLACE INTO source_configs ({_PLAIN}, repository, {_SEALED})"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            config.app_id,
            config.repository_url,
            config.branch,
            config.path,
            int(config.auto_deploy),
            int(config.previews),
            config.environment,
            config.created_at,
            config.updated_at,
            key_of(config.repository_url),
            *((token.key_id, token.box) if token is not None else (None, None)),
            *((secret.key_id, secret.box) if secret is not None else (None, None)),
        ),
    )
    await feed.append(
        tx,
        "source.set",
        at=config.updated_at,
        app_id=config.app_id,
        facts={"repository_url": config.repository_url, "branch": config.branch},
    )


async def get(reader: Reader, app_id: AppId) -> SourceConfig | None:
    found = await get_with_secrets(reader, app_id)
    return None if found is None else found[0]


async def get_with_secrets(reader: Reader, app_id: AppId) -> tuple[SourceConfig, Secrets] | None:
    row = await reader.one(f"SELECT {_PLAIN}, {_SEALED} FROM source_configs WHERE app_id = ?", (app_id,))
    return None if row is None else (_config(row), _secrets(row))


async def candidates(reader: Reader, repositories: Collection[str]) -> list[tuple[SourceConfig, Sealed]]:
    """List what may be meant by a delivery about one of these repositories, with its webhook secret.

    No repository at all may mean any.
    """
    known = sorted(repositories)
    among = f" AND repository IN ({', '.join('?' * len(known))})" if known else ""
    rows = await reader.all(
        f"SELECT {_PLAIN}, {_SEALED} FROM source_configs WHERE sealed_secret IS NOT NULL{among}"
        " AND app_id IN (SELECT id FROM apps WHERE deleted_at IS NULL) ORDER BY app_id LIMIT ?",
        (*known, MOST_CANDIDATES),
    )
    return [
        (_config(row), secret)
        for row, secret in ((row, _secrets(row).webhook_secret) for row in rows)
        if secret is not None
    ]


async def delete(tx: Tx, app_id: AppId, *, now: float) -> bool:
    """Forget where an app's source is; False if it was not known."""
    if not await tx.write("DELETE FROM source_configs WHERE app_id = ?", (app_id,)):
        return False
    await feed.append(tx, "source.deleted", at=now, app_id=app_id)
    return True


def _config(row: sqlite3.Row) -> SourceConfig:
    return SourceConfig(
        app_id=row["app_id"],
        repository_url=row["repository_url"],
        branch=row["branch"],
        path=row["path"],
        auto_deploy=bool(row["auto_deploy"]),
        previews=bool(row["previews"]),
        environment=row["environment"],
        has_token=row["sealed_token"] is not None,
        has_webhook_secret=row["sealed_secret"] is not None,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _secrets(row: sqlite3.Row) -> Secrets:
    return Secrets(
        token=_sealed(row["token_key_id"], row["sealed_token"]),
        webhook_secret=_sealed(row["secret_key_id"], row["sealed_secret"]),
    )


def _sealed(key_id: str | None, box: bytes | None) -> Sealed | None:
    return None if key_id is None or box is None else Sealed(key_id=key_id, box=box)
