"""A build's context: without what .dockerignore leaves out, and as a tar for the engine."""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from paas.core.dockerignore import Dockerignore, names_of
from paas.core.errors import BuildFailed

PIECE_SIZE = 256 * 1024
SHOWN_NAMES = 8
LARGEST_IGNORE_FILE = 1024 * 1024


def check_dockerfile(folder: Path, dockerfile: str) -> None:
    """Raise BuildFailed if there is no such Dockerfile in a context."""
    if not (folder / dockerfile).is_file():
        raise _no_dockerfile(folder, dockerfile)


def ignore_of(folder: Path, dockerfile: str) -> Dockerignore:
    """Read what a context leaves out. Raises BuildFailed for a pattern that is none."""
    for name in names_of(dockerfile):
        path = folder / name
        if path.is_file():
            with path.open("rb") as file:
                text = file.read(LARGEST_IGNORE_FILE).decode("utf-8", "replace")
            try:
                return Dockerignore.parse(text, needed=frozenset({dockerfile}))
            except ValueError as error:
                raise BuildFailed(f"cannot read {name}: {error}") from error
    return Dockerignore.parse("")


def tar_of(folder: Path, ignore: Dockerignore) -> Iterator[bytes]:
    """Yield a tar of what is not left out, piece by piece. Blocks on the disk; raises OSError."""
    for path, entry in _entries(folder, "", ignore):
        found = entry.stat(follow_symlinks=False)
        info = tarfile.TarInfo(path)
        info.mode = found.st_mode & 0o777
        info.mtime = int(found.st_mtime)
        if entry.is_symlink():
            info.type = tarfile.SYMTYPE
            info.linkname = str(Path(entry.path).readlink())
        elif entry.is_dir():
            info.type = tarfile.DIRTYPE
        else:
            info.size = found.st_size
        yield info.tobuf(tarfile.PAX_FORMAT)
        if info.size:
            yield from _content(Path(entry.path), info.size)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _entries(folder: Path, prefix: str, ignore: Dockerignore) -> Iterator[tuple[str, os.DirEntry[str]]]:
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        path = prefix + entry.name
        is_left_out = ignore.leaves_out(path)
        if not is_left_out:
            yield path, entry
        if entry.is_dir(follow_symlinks=False) and (not is_left_out or ignore.may_keep_below(path)):
            yield from _entries(folder / entry.name, f"{path}/", ignore)


def _content(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_SIZE):
            yield piece
    yield bytes(-size % tarfile.BLOCKSIZE)


def _no_dockerfile(folder: Path, dockerfile: str) -> BuildFailed:
    names = sorted(entry.name for entry in os.scandir(folder))
    shown = ", ".join(names[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")
    return BuildFailed(
        f"cannot build: there is no {dockerfile} in the context",
        hint=f"it holds {shown}" if names else "it is empty",
    )
