"""What a cancelled build leaves among the folders that are kept for the next."""

import asyncio
import threading
from pathlib import Path, PosixPath

from paas.builders.build_cache import BuildCache
from tests.waiting import until


class SlowPath(PosixPath):
    """A path whose folder is made when the test says so."""

    begun, released, made = threading.Event(), threading.Event(), threading.Event()

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002
        self.begun.set()
        self.released.wait()
        super().mkdir(mode, parents, exist_ok)
        self.made.set()


async def test_a_cancel_while_folders_are_taken_leaves_none_of_them(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    root = SlowPath(tmp_path / "cache")

    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(BuildCache(root, 1024).keep("key", [place]))
        await until(SlowPath.begun.is_set)
        keeping.cancel()
        await asyncio.wait([keeping], timeout=0.2)  # in which it would go on to delete them
        SlowPath.released.set()

    await until(SlowPath.made.is_set)
    assert keeping.cancelled()
    assert list(Path(root).iterdir()) == []
