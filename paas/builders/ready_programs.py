"""Sources that need no building: a Procfile or a single executable says what runs."""

import asyncio
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from paas.builders.archive import PROCFILE
from paas.builders.unpack import EXECUTABLE
from paas.core.builds import DOCKERFILE, BuildOptions, Program, Recipe, SourceOrder
from paas.core.errors import BuildFailed
from paas.core.ports import BuildReport

ARCHIVE = "program.tar"


class ReadyPrograms:
    """Implements `core.ports.SourceBuilder` for trees that run as they are."""

    async def detect(self, tree: Path, options: BuildOptions) -> Recipe:
        """See `core.ports.SourceBuilder`."""
        del options
        return await asyncio.to_thread(_detect, tree)

    async def build(self, order: SourceOrder, report: BuildReport) -> Program:
        """See `core.ports.SourceBuilder`."""
        del report
        archive = order.workspace / ARCHIVE
        await asyncio.to_thread(_pack, order.tree, archive)
        return Program(path=archive, name=ARCHIVE)


def _detect(tree: Path) -> Recipe:
    if (tree / "Dockerfile").is_file():
        return Recipe(name=DOCKERFILE)
    if (tree / PROCFILE).is_file():
        return Recipe(name="procfile")
    if sum(1 for path in tree.iterdir() if path.is_file() and path.stat().st_mode & EXECUTABLE) == 1:
        return Recipe(name="program")
    names = ", ".join(sorted(path.name for path in tree.iterdir())[:8])
    raise BuildFailed(
        "cannot build: there is neither a Dockerfile nor a Procfile nor a single executable in the source",
        hint=f"it holds {names}" if names else "it is empty",
    )


def _pack(tree: Path, archive: Path) -> None:
    """Write a tar of which the same files give the same bytes."""
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in _entries(tree, ""):
            info = tar.gettarinfo(path, name)
            info.mtime = info.uid = info.gid = 0
            info.uname = info.gname = ""
            info.mode = 0o755 if info.isdir() or stat.S_IMODE(info.mode) & EXECUTABLE else 0o644
            if info.isreg():
                with path.open("rb") as content:
                    tar.addfile(info, content)
            else:
                tar.addfile(info)


def _entries(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        path = Path(entry.path)
        yield prefix + entry.name, path
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(path, f"{prefix}{entry.name}/")
