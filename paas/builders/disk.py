"""A build must not fill the disk that the agent and the apps live on."""

import asyncio
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from paas.core.errors import BuildFailed

LEAST_FREE_BYTES = 512 * 1024**2
LOOK_SECS = 1.0


async def watch(folders: Collection[Path], least_free_bytes: int = LEAST_FREE_BYTES) -> NoReturn:
    """Look at the disks of these folders now and then, for ever. Raises BuildFailed once one is nearly full.

    A folder that is not there is left out: an engine may keep its images where the agent cannot look.
    """
    while True:
        for folder in folders:
            free_bytes = await asyncio.to_thread(_free_bytes, folder)
            if free_bytes is not None and free_bytes < least_free_bytes:
                raise BuildFailed(
                    f"cannot build: only {free_bytes // 1024**2} MiB are free in {folder}",
                    hint="free some; `docker system df` shows what the container engine keeps",
                )
        await asyncio.sleep(LOOK_SECS)


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
