"""Log in to registries of private images, and out again."""

from paas.core.errors import NotFound
from paas.core.model import Registry
from paas.core.ports import Clock
from paas.core.registries import normal_host
from paas.engine.registries import seal_password
from paas.store import registries
from paas.store.database import Database
from paas.vault import Vault


class RegistryCommands:
    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    async def put(self, host: str, *, username: str, password: str) -> Registry:
        """Keep what a registry is asked with; the next pull uses it. Replaces what was kept.

        Raises Invalid if the host is none, Unavailable if it cannot be written.
        """
        host = normal_host(host)
        now = self._clock.now()
        asked = Registry(host=host, username=username, created_at=now, updated_at=now)
        async with self._database.transaction() as tx:
            return await registries.put(tx, asked, await seal_password(self._vault, host, password))

    async def delete(self, host: str) -> None:
        """Forget a registry's user and password. Raises NotFound."""
        host = normal_host(host)
        async with self._database.transaction() as tx:
            if not await registries.delete(tx, host, now=self._clock.now()):
                raise not_logged_in(host)


def not_logged_in(host: str) -> NotFound:
    return NotFound(f"no user and password are kept for the registry {host}", code="REGISTRY_NOT_FOUND")
