"""Folders that one build leaves for the next: kept by key, and taken only from builds that succeeded."""

import asyncio
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from paas.builders.build_process import measure
from paas.builders.threads import done_in_thread
from paas.launching import children

NEW, SIZE = ".new-", ".size"


class BuildCache:
    """Keeps at most `limit_bytes` below `root`, where no build may look: the least recently used go first."""

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._changing = asyncio.Lock()

    async def fill(self, key: str, places: Sequence[Path]) -> bool:
        """Put what was kept where these folders are to be; False if nothing was. Raises OSError."""
        async with self._changing:
            found = await asyncio.to_thread(self._pairs, key, places)
            for kept, place in found:
                code, _ = await children.run(("cp", "-a", "--reflink=auto", str(kept), str(place)))
                if code:
                    await children.delete(place)
        return bool(found)

    async def keep(self, key: str, places: Sequence[Path]) -> None:
        """Take these folders away from a build that is over, and keep them. Raises OSError."""
        async with self._changing:
            new = self._root / f"{NEW}{secrets.token_hex(8)}"
            try:
                if not await done_in_thread(_take, new, places):
                    return
                size_bytes, _ = await measure([new])
                if size_bytes <= self._limit_bytes:
                    await self._replace(key, new, size_bytes)
                    await children.delete(*await asyncio.to_thread(self._too_much))
            finally:
                await children.delete(new)

    async def sweep(self) -> None:
        """Delete what an agent that was killed left half done."""
        await children.delete(*await asyncio.to_thread(lambda: list(self._root.glob(f"{NEW}*"))))

    async def _replace(self, key: str, new: Path, size_bytes: int) -> None:
        await children.delete(self._root / key)
        await asyncio.to_thread((new / SIZE).write_text, str(size_bytes))
        await asyncio.to_thread(new.rename, self._root / key)

    def _pairs(self, key: str, places: Sequence[Path]) -> list[tuple[Path, Path]]:
        folder = self._root / key
        if not folder.is_dir():
            return []
        os.utime(folder)
        pairs = [(folder / str(number), place) for number, place in enumerate(places)]
        found = [(kept, place) for kept, place in pairs if kept.is_dir() and not os.path.lexists(place)]
        for _, place in found:
            place.parent.mkdir(parents=True, exist_ok=True)
        return found

    def _too_much(self) -> list[Path]:
        """Name the caches to delete, those not used for longest first."""
        caches = sorted(
            (path.stat().st_mtime, path) for path in self._root.iterdir() if not path.name.startswith(NEW)
        )
        sizes = {path: int((path / SIZE).read_text()) for _, path in caches}
        total_bytes, gone = sum(sizes.values()), []
        for _, path in caches:
            if total_bytes <= self._limit_bytes:
                break
            total_bytes -= sizes[path]
            gone.append(path)
        return gone


def _take(new: Path, places: Sequence[Path]) -> bool:
    """Move folders, by paths without links, but none that has one now; False if there is none."""
    new.mkdir(parents=True, mode=0o700)
    new.parent.chmod(0o700)
    for number, place in enumerate(places):
        if place.is_dir() and place.resolve() == place:
            place.rename(new / str(number))
    os.utime(new, (time.time(), time.time()))
    return any(new.iterdir())
