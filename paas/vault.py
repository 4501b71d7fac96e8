"""Seals secret values for the database, and opens them again: AES-256-GCM.

A box is a nonce of 12 bytes, the ciphertext and its tag. What it belongs to is authenticated with it, so
that a box moved to another row does not open. The key comes from the systemd credential `paas-key` if
there is one, else from a file of the state directory, made when the first secret is sealed. The library
that encrypts is loaded with the first secret: an agent without secrets never pays for it.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import stat
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from paas.core.errors import StateUnusable, Unavailable
from paas.core.model import Sealed

CREDENTIAL = "paas-key"
KEY_BYTES = 32
NONCE_BYTES = 12
_ID_BYTES = 8
_LARGEST_FILE = 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class _Key:
    """`id` is a hash of the key, so that a wrong key is known without trying it."""

    value: bytes = field(repr=False)

    @property
    def id(self) -> str:
        return hashlib.sha256(b"paas key id\0" + self.value).hexdigest()[: 2 * _ID_BYTES]


class Vault:
    """Safe to use from many tasks at once; files and ciphers stay off the event loop."""

    def __init__(self, key_file: Path, *, credentials: Path | None = None) -> None:
        """Name where the key is; nothing is read yet. `credentials` is systemd's $CREDENTIALS_DIRECTORY."""
        self._file = key_file
        self._credential = None if credentials is None else credentials / CREDENTIAL
        self._key: _Key | None = None
        self._loading = threading.Lock()  # not asyncio's: a thread goes on when its caller is cancelled

    async def check(self, key_ids: Iterable[str]) -> None:
        """Raise StateUnusable unless the key is there that all these secrets were sealed with.

        Makes no key, so an agent that lost its own changes nothing.
        """
        await asyncio.to_thread(self._check, frozenset(key_ids))

    async def seal(self, owner: str, name: str, value: str) -> Sealed:
        """Encrypt a value for one place. Makes the key if there is none: it is on disk when this returns.

        Raises Unavailable if the key cannot be written.
        """
        return await asyncio.to_thread(self._seal, owner, name, value)

    async def unseal(self, owner: str, name: str, sealed: Sealed) -> str:
        """Decrypt what was sealed for this place. Raises Unavailable if it was not, or was changed."""
        return await asyncio.to_thread(self._unseal, owner, name, sealed)

    def _check(self, key_ids: frozenset[str]) -> None:
        key = self._found_key()
        if key is None and key_ids:
            raise StateUnusable(
                f"cannot read the secrets in the database: their key {self._file} is not there",
                hint="put it back from a backup, or start with another state directory",
            )
        if key is not None and not key_ids <= {key.id}:
            raise StateUnusable(
                f"cannot read the secrets in the database: {self._source()} is not the key of all of them",
                hint="put the right key back from a backup, or start with another state directory",
            )

    def _seal(self, owner: str, name: str, value: str) -> Sealed:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see the module

        key = self._found_or_new_key()
        nonce = os.urandom(NONCE_BYTES)
        box = AESGCM(key.value).encrypt(nonce, value.encode(), _place(owner, name))
        return Sealed(key_id=key.id, box=nonce + box)

    def _unseal(self, owner: str, name: str, sealed: Sealed) -> str:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see the module
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        key = self._found_key()
        if key is None or key.id != sealed.key_id:
            raise _misplaced(owner, name)
        nonce, box = sealed.box[:NONCE_BYTES], sealed.box[NONCE_BYTES:]
        try:
            return AESGCM(key.value).decrypt(nonce, box, _place(owner, name)).decode()
        except (InvalidTag, ValueError):  # ValueError: shorter than a nonce
            raise _misplaced(owner, name) from None

    def _found_key(self) -> _Key | None:
        with self._loading:
            self._key = self._key or self._read()
            return self._key

    def _found_or_new_key(self) -> _Key:
        with self._loading:
            self._key = self._key or self._read() or self._make()
            return self._key

    def _source(self) -> Path:
        """Say where the key is, or will be."""
        credential = self._credential
        return credential if credential is not None and credential.exists() else self._file

    def _read(self) -> _Key | None:
        """Read the key if there is one. Raises StateUnusable if it is none, or others may read it."""
        source = self._source()
        try:
            with source.open("rb") as file:
                if source == self._file and os.fstat(file.fileno()).st_mode & _OTHERS:
                    raise StateUnusable(
                        f"cannot use the key {source}: other users may read it", hint=f"chmod 600 {source}"
                    )
                text = file.read(_LARGEST_FILE)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateUnusable(f"cannot read the key {source}: {error.strerror}") from error
        with contextlib.suppress(ValueError):
            value = bytes.fromhex(text.decode("ascii"))
            if len(value) == KEY_BYTES:
                return _Key(value)
        raise StateUnusable(
            f"cannot use the key {source}: it is not {KEY_BYTES} bytes in hexadecimal",
            hint="put it back from a backup; a new one is what `openssl rand -hex 32` prints",
        )

    def _make(self) -> _Key:
        """Write a new key so that a crash leaves the whole of it or nothing."""
        key = _Key(secrets.token_bytes(KEY_BYTES))
        unfinished = self._file.with_name(f"{self._file.name}.new")
        try:
            unfinished.unlink(missing_ok=True)  # of a crash; never written to, for its mode is not known
            with open(unfinished, "xb", opener=_private) as file:
                file.write(key.value.hex().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self._file)
            _sync(self._file.parent)
        except OSError as error:
            raise Unavailable(
                f"cannot write the key {self._file}: {error.strerror}",
                hint="free some disk space and ask again",
            ) from error
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
        return key


def _misplaced(owner: str, name: str) -> Unavailable:
    return Unavailable(
        f"cannot read the secret {name} of {owner}: the database holds something else in its place",
        hint="set it again",
    )


def _place(owner: str, name: str) -> bytes:
    return json.dumps([owner, name]).encode()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
