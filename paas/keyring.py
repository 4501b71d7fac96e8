"""Keeps the keys of the vault: where they lie, and how they are read, made and changed.

The key comes from the systemd credential `paas-key` if there is one, else from a file of the state
directory, made when the first secret is sealed.

While the key is changed there are two: the new one, which seals, and the old one, which still opens what
is not sealed anew yet. Beside the file it is `secrets.key.next` that is the new one until all is done;
beside the credential it is the credential `paas-key-old` that is the old one.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import stat
import threading
from collections.abc import Iterable
from pathlib import Path

from paas.core.errors import Conflict, StateUnusable, Unavailable

CREDENTIAL = "paas-key"
OLD_CREDENTIAL = "paas-key-old"
KEY_BYTES = 32
_ID_BYTES = 8
_LARGEST_FILE = 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Key:  # no record: that would show its value
    """`id` is a hash of the key, so that a wrong key is known without trying it."""

    def __init__(self, value: bytes) -> None:
        self.value = value
        self.id = hashlib.sha256(b"paas key id\0" + value).hexdigest()[: 2 * _ID_BYTES]


class Keyring:
    """Safe to use from many tasks and threads at once. What finds keys may read files: not for the loop."""

    def __init__(self, key_file: Path, *, credentials: Path | None = None) -> None:
        """Name where the key is; nothing is read yet. `credentials` is systemd's $CREDENTIALS_DIRECTORY."""
        self._file = key_file
        self._next = key_file.with_name(f"{key_file.name}.next")
        self._credential = None if credentials is None else credentials / CREDENTIAL
        self._key: Key | None = None  # what seals
        self._known: dict[str, Key] = {}  # what opens, by id
        self._loading = threading.Lock()  # not asyncio's: a thread goes on when its caller is cancelled

    async def check(self, key_ids: Iterable[str]) -> None:
        """Raise StateUnusable unless the keys are there that all these secrets were sealed with.

        Makes no key, so an agent that lost its own changes nothing.
        """
        await asyncio.to_thread(self._check, frozenset(key_ids))

    def find(self, key_id: str) -> Key | None:
        """Find the key of this id; at once if any key was found before."""
        key = self._known.get(key_id)
        if key is None:
            self._found_key()
            key = self._known.get(key_id)
        return key

    def find_all(self) -> list[Key]:
        """Find every key that opens something."""
        self._found_key()
        return list(self._known.values())

    def find_or_make(self) -> Key:
        """Find the key that seals, or make it: on disk then. Raises Unavailable if it cannot be written."""
        with self._loading:
            if self._key is None:
                self._load()
            return self._key or self._use(self._make(self._file))

    @property
    def sealing_id(self) -> str | None:
        """Name the key that seals; None while none is loaded."""
        return None if self._key is None else self._key.id

    @property
    def has_new(self) -> bool:
        """Say whether a key was added that is not the only one yet."""
        return self._source() == self._file and self._next.exists()

    async def add_new(self) -> None:
        """Put a new key beside the one that is there: on disk, and sealing from now on, when this returns.

        The old one opens what it sealed until this process ends. If a new one was put there before and not
        made the only one, that goes on to be it. Raises Conflict where the key is systemd's to keep, and
        Unavailable if it cannot be written.
        """
        if self._source() != self._file:
            raise Conflict(
                f"cannot change the key: systemd gives it to the agent, as the credential {CREDENTIAL}",
                code="KEY_IS_A_CREDENTIAL",
                hint=f"let the unit load a new key (openssl rand -hex 32) as {CREDENTIAL} and that of now as"
                f" {OLD_CREDENTIAL}, restart the agent, which seals all anew, and take {OLD_CREDENTIAL} away",
            )
        await asyncio.to_thread(self._add_new)

    async def keep_only_new(self) -> None:
        """Make the added key the only one, once nothing in the database is sealed with the old one."""
        await asyncio.to_thread(self._keep_only_new)

    def _check(self, key_ids: frozenset[str]) -> None:
        key = self._found_key()
        if key is None and key_ids:
            raise StateUnusable(
                f"cannot read the secrets in the database: their key {self._file} is not there",
                hint="put it back from a backup, or start with another state directory",
            )
        if key is not None and not key_ids <= self._known.keys():
            raise StateUnusable(
                f"cannot read the secrets in the database: {self._source()} is not the key of all of them",
                hint="put the right key back from a backup, or start with another state directory",
            )

    def _found_key(self) -> Key | None:
        with self._loading:
            if self._key is None:
                self._load()
            return self._key

    def _load(self) -> None:
        """Read what is there, the one that seals last."""
        source = self._source()
        paths = [source, self._next] if source == self._file else [source.with_name(OLD_CREDENTIAL), source]
        for path in paths:
            key = self._read(path)
            if key is not None:
                self._use(key)

    def _use(self, key: Key) -> Key:
        self._key = key = self._known.setdefault(key.id, key)
        return key

    def _add_new(self) -> None:
        with self._loading:
            if self._key is None:
                self._load()
            self._use(self._read(self._next) or self._make(self._next))

    def _keep_only_new(self) -> None:
        if self.has_new:
            self._next.rename(self._file)
            _sync(self._file.parent)

    def _source(self) -> Path:
        """Say where the key is, or will be."""
        credential = self._credential
        return credential if credential is not None and credential.exists() else self._file

    def _read(self, source: Path) -> Key | None:
        """Read a key if there is one. Raises StateUnusable if it is none, or others may read it."""
        try:
            with source.open("rb") as file:
                if source.parent == self._file.parent and os.fstat(file.fileno()).st_mode & _OTHERS:
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
                return Key(value)
        raise StateUnusable(
            f"cannot use the key {source}: it is not {KEY_BYTES} bytes in hexadecimal",
            hint="put it back from a backup; a new one is what `openssl rand -hex 32` prints",
        )

    def _make(self, path: Path) -> Key:
        """Write a new key so that a crash leaves the whole of it or nothing."""
        key = Key(secrets.token_bytes(KEY_BYTES))
        unfinished = self._file.with_name(f"{self._file.name}.new")
        try:
            unfinished.unlink(missing_ok=True)  # of a crash; never written to, for its mode is not known
            with open(unfinished, "xb", opener=_private) as file:
                file.write(key.value.hex().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
            _sync(path.parent)
        except OSError as error:
            raise Unavailable(
                f"cannot write the key {path}: {error.strerror}",
                hint="free some disk space and ask again",
            ) from error
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
        return key


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
