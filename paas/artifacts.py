"""Uploaded bytes as files named by their SHA-256."""

import asyncio
import errno
import hashlib
import os
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import ParamSpec, TypeVar

from paas.core.errors import BadRequest, TooLarge, Unavailable

P = ParamSpec("P")
R = TypeVar("R")

WRITE_SIZE = 1024 * 1024  # bytes gathered before a thread is asked to write them
FILE_MODE = 0o640
TEMPORARY = ".upload-"
FRESH_S = 3600.0


class ArtifactFiles:
    """Keeps each content once, below `root`. No method blocks the loop on a disk."""

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._root = root
        self._limit_bytes = limit_bytes

    def path(self, sha256: str) -> Path:
        """Say where a content is, or would be, kept. Raises ValueError for anything but a SHA-256."""
        if len(sha256) != hashlib.sha256().digest_size * 2 or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError(f"not a SHA-256: {sha256!r}")
        return self._root / sha256

    async def receive(
        self, chunks: AsyncIterator[bytes], *, expected_bytes: int | None = None
    ) -> tuple[str, int]:
        """Keep a stream durably and return its SHA-256 and its size in bytes.

        The same content twice is one file. Memory stays at about 1 MiB whatever the size. If this
        raises, nothing stays on disk. Raises TooLarge past the limit, BadRequest if the stream has
        another size than `expected_bytes`, Unavailable if the disk cannot take it, and whatever
        reading the chunks raises.
        """
        self._check_size(expected_bytes or 0)
        upload = _Upload(self._root)
        try:
            await _on_disk(upload.open)
            await self._copy(chunks, upload, expected_bytes)
            sha256 = await _on_disk(upload.keep)
        finally:
            await asyncio.to_thread(upload.discard)
        return sha256, upload.size_bytes

    async def has(self, sha256: str) -> bool:
        return await asyncio.to_thread(self.path(sha256).exists)

    async def delete(self, sha256: str) -> None:
        """Delete a content; absent is success."""
        await asyncio.to_thread(self.path(sha256).unlink, missing_ok=True)

    async def keep_only(self, sha256s: Iterable[str]) -> None:
        """Delete all other contents, but none so young that its owner may not be recorded yet."""
        await asyncio.to_thread(self._keep_only, frozenset(sha256s))

    async def sweep_temporary(self) -> None:
        """Delete what uploads cut off by an earlier end of the agent left; call before any `receive`."""
        await asyncio.to_thread(self._sweep_temporary)

    async def _copy(
        self, chunks: AsyncIterator[bytes], upload: "_Upload", expected_bytes: int | None
    ) -> None:
        gathered = bytearray()
        size_bytes = 0
        async for chunk in chunks:
            size_bytes += len(chunk)
            self._check_size(size_bytes)
            gathered += chunk
            if len(gathered) >= WRITE_SIZE:
                await _on_disk(upload.write, bytes(gathered))
                gathered.clear()
        if expected_bytes is not None and size_bytes != expected_bytes:
            raise BadRequest(
                f"cannot keep the upload: {size_bytes} bytes came, {expected_bytes} were announced",
                code="UPLOAD_INCOMPLETE",
            )
        await _on_disk(upload.write, bytes(gathered))

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._limit_bytes:
            raise TooLarge(f"cannot keep the upload: it has more than {self._limit_bytes} bytes")

    def _keep_only(self, sha256s: frozenset[str]) -> None:
        for path in self._root.iterdir() if self._root.is_dir() else ():
            young = path.stat().st_mtime > time.time() - FRESH_S
            if path.name not in sha256s and not path.name.startswith(TEMPORARY) and not young:
                path.unlink(missing_ok=True)

    def _sweep_temporary(self) -> None:
        for path in self._root.glob(f"{TEMPORARY}*"):
            path.unlink(missing_ok=True)


class _Upload:
    """One temporary file. Its methods run in threads, and one may still run when its caller is cancelled."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / f"{TEMPORARY}{secrets.token_hex(8)}"
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()
        self._file: int | None = None
        self._discarded = False
        self.size_bytes = 0

    def open(self) -> None:
        with self._lock:
            if self._discarded:
                return
            self._root.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            os.fchmod(self._file, FILE_MODE)

    def write(self, content: bytes) -> None:
        with self._lock:
            if self._file is None:
                return
            self._digest.update(content)
            left = memoryview(content)
            while left:
                left = left[os.write(self._file, left) :]
            self.size_bytes += len(content)

    def keep(self) -> str:
        """Make the file durable under its final name. Without the folder's sync a power cut could lose it."""
        with self._lock:
            sha256 = self._digest.hexdigest()
            if self._file is not None:
                os.fsync(self._file)
                self._path.rename(self._root / sha256)
                sync_folder(self._root)
            return sha256

    def discard(self) -> None:
        """Close the file, and delete it unless it was kept."""
        with self._lock:
            self._discarded = True
            if self._file is not None:
                os.close(self._file)
                self._file = None
                self._path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _on_disk(act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a disk operation in a thread, and say in a sentence why the disk refused it."""
    try:
        return await asyncio.to_thread(act, *args, **kwargs)
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        cause = "the disk is full" if full else (error.strerror or str(error))
        raise Unavailable(
            f"cannot keep the upload: {cause}",
            code="DISK_FULL" if full else None,
            hint="delete artifacts that are no longer needed, or give the state folder more room"
            if full
            else None,
        ) from error
