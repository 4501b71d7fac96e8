"""Seals secret values for the database, and opens them again: AES-256-GCM.

A box is a nonce of 12 bytes, the ciphertext and its tag. What it belongs to is authenticated with it, so
that a box moved to another row does not open. The library that encrypts is loaded with the first secret:
an agent without secrets never pays for it. What it seals and opens with is kept by `keyring`.
"""

import asyncio
import hashlib
import hmac
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paas.core.errors import Unavailable
from paas.core.model import Sealed
from paas.core.records import dataclass
from paas.keyring import Key, Keyring

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
TAG_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a box belongs: what it is bound to."""

    owner: str
    name: str


class Vault:
    """Safe to use from many tasks at once; files and the library's start stay off the event loop.

    `keys` is there for whoever checks or changes them.
    """

    def __init__(self, key_file: Path, *, credentials: Path | None = None) -> None:
        """Name where the key is; nothing is read yet. `credentials` is systemd's $CREDENTIALS_DIRECTORY."""
        self.keys = Keyring(key_file, credentials=credentials)
        self._ciphers: dict[str, AESGCM] = {}  # by the id of their key

    async def warm_up(self) -> None:
        """Load what opens boxes, so that the first `open` is as quick as all others."""
        await asyncio.to_thread(self._warm_up)

    async def seal(self, owner: str, name: str, value: str) -> Sealed:
        """Encrypt a value for one place; see `seal_all`."""
        (sealed,) = await self.seal_all([(Place(owner=owner, name=name), value)])
        return sealed

    async def seal_all(self, values: Sequence[tuple[Place, str]]) -> list[Sealed]:
        """Encrypt values, each for its place. Makes the key if there is none: it is on disk then.

        To be called in the transaction that stores the boxes: whoever changes the key holds the writer,
        and must find all that the old one sealed. Raises Unavailable if the key cannot be written.
        """
        if not values:
            return []
        return await asyncio.to_thread(self._seal_all, values)

    async def unseal(self, owner: str, name: str, sealed: Sealed) -> str:
        """Decrypt what was sealed for this place. Raises Unavailable if it was not, or was changed."""
        return await asyncio.to_thread(self.open, Place(owner=owner, name=name), sealed)

    def open(self, place: Place, sealed: Sealed) -> str:
        """Decrypt likewise and at once: microseconds, as whoever has a box has its key loaded."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see the module

        key = self.keys.find(sealed.key_id)
        if key is None:
            raise _misplaced(place)
        nonce, box = sealed.box[:NONCE_BYTES], sealed.box[NONCE_BYTES:]
        try:
            return self._cipher(key).decrypt(nonce, box, _bound_to(place)).decode()
        except (InvalidTag, ValueError):  # ValueError: shorter than a nonce
            raise _misplaced(place) from None

    async def digest(self, text: str) -> str:
        """Name a text so that nobody without the key can guess it from its name. Makes a key if need be.

        The same text has another name once the key was changed.
        """
        key = await asyncio.to_thread(self.keys.find_or_make)
        return hmac.new(key.value, b"paas digest\0" + text.encode(), hashlib.sha256).hexdigest()

    def _warm_up(self) -> None:
        for key in self.keys.find_all():
            self._cipher(key)

    def _seal_all(self, values: Sequence[tuple[Place, str]]) -> list[Sealed]:
        key = self.keys.find_or_make()
        cipher = self._cipher(key)
        sealed = []
        for place, value in values:
            nonce = os.urandom(NONCE_BYTES)
            sealed.append(
                Sealed(key_id=key.id, box=nonce + cipher.encrypt(nonce, value.encode(), _bound_to(place)))
            )
        return sealed

    def _cipher(self, key: Key) -> "AESGCM":
        cipher = self._ciphers.get(key.id)
        if cipher is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see the module

            cipher = self._ciphers[key.id] = AESGCM(key.value)
        return cipher


def size_bytes(sealed: Sealed) -> int:
    """Say how long a value is without opening its box."""
    return len(sealed.box) - NONCE_BYTES - TAG_BYTES


def _misplaced(place: Place) -> Unavailable:
    return Unavailable(
        f"cannot read the secret {place.name} of {place.owner}:"
        " the database holds something else in its place",
        hint="set it again",
    )


def _bound_to(place: Place) -> bytes:
    return json.dumps([place.owner, place.name]).encode()
