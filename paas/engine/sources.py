"""Where vault and store meet: what repositories are fetched with, and what their hooks are signed with."""

from paas.core.ids import AppId
from paas.core.model import Sealed
from paas.core.repositories import key_of
from paas.core.source_config import SourceConfig
from paas.store import source_configs
from paas.store.database import Reader
from paas.vault import Vault

TOKEN, WEBHOOK_SECRET = "git-token", "webhook-secret"


async def git_token(reader: Reader, vault: Vault, app_id: AppId, url: str) -> str | None:
    """Read the token that an app's repository is fetched with; None if it has none.

    None for any other address, too: a token goes nowhere but where its owner sent it.
    Raises Unavailable if it cannot be read.
    """
    found = await source_configs.get_with_secrets(reader, app_id)
    if found is None or key_of(found[0].repository_url) != key_of(url):
        return None
    token = found[1].token
    return None if token is None else await vault.unseal(TOKEN, app_id, token)


async def webhook_secret(vault: Vault, config: SourceConfig, sealed: Sealed) -> str:
    """Open what an app's hooks are signed with. Raises Unavailable."""
    return await vault.unseal(WEBHOOK_SECRET, config.app_id, sealed)
