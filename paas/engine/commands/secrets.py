"""Change the key that everything is sealed with."""

import asyncio

from paas.core.ports import Clock
from paas.engine import sealing
from paas.store.database import Database
from paas.vault import Vault


class SecretCommands:
    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        # Of two at once, one would take the other's new key for its own, and drop the old too early.
        self._turn = asyncio.Lock()

    async def rotate_key(self) -> int:
        """Seal everything with a new key and forget the old one; returns how many boxes it were.

        Repeatable, and ended by the next start if it was cut off. Raises Conflict where systemd keeps the
        key, and Unavailable when something cannot be written or read.
        """
        async with self._turn:
            return await sealing.change_key(self._database, self._vault, self._clock)
