"""Where the vault and the store meet: what a private image is pulled with."""

from paas.core.errors import Invalid, Unavailable
from paas.core.model import Sealed
from paas.core.registries import normal_host
from paas.store import registries
from paas.store.database import Reader
from paas.vault import Vault

OWNER = "registry"  # of the passwords, as the vault is told


async def credentials(reader: Reader, vault: Vault, host: str) -> tuple[str, str] | None:
    """Read user and password of a registry, however its host is written; None if it has none.

    Raises Unavailable if the password cannot be read.
    """
    try:
        host = normal_host(host)
    except Invalid:
        return None  # that it is no host is for the engine to say, which knows its image names
    login = await registries.login(reader, host)
    if login is None:
        return None
    username, password = login
    try:
        return username, await vault.unseal(OWNER, host, password)
    except Unavailable as error:
        # In the sentence itself: it becomes the reason of a deployment, which has no hint beside it.
        raise Unavailable(f"{error.message}; log in again: paas registry login {host}") from error


async def seal_password(vault: Vault, host: str, password: str) -> Sealed:
    """Seal a password so that only `credentials` for this host opens it."""
    return await vault.seal(OWNER, host, password)
