"""Pack what a build has made: the same files give the same bytes, and nothing but files leaves."""

import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from paas.core.errors import BuildFailed
from paas.core.records import dataclass

MADE_AT = 315532800  # 1980-01-01, which every archive format can say
DEPTH_LIMIT = 64  # as `unpack` has it
COPY_SIZE = 256 * 1024
LEFT_OUT = frozenset({".git"})
EXECUTABLE = 0o111


@dataclass(frozen=True, slots=True, kw_only=True)
class TarLimits:
    """As whoever unpacks it has them."""

    bytes: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What was found on the way."""

    left_out: tuple[str, ...]  # links that lead out of the folder
    programs: tuple[str, ...]  # executable files at the root


def pack(tree: Path, target: Path, added: Mapping[str, bytes], limits: TarLimits) -> Packed:
    """Write a tar of a folder, with files of ours in the place of any of the same path. Blocks.

    No process may write into the folder meanwhile. Links are kept, and never followed. Raises BuildFailed
    for more than the limits, and OSError.
    """
    files: list[tuple[str, tarfile.TarInfo]] = []
    left_out: list[str] = []
    size_bytes = 0
    hidden = {*added, *(path for path in _folders_of(added) if not _is_folder(tree / path))}
    for path, entry in _entries(tree, "", 0):
        if path in hidden or any(path.startswith(f"{each}/") for each in hidden):
            continue
        info = _info(path, entry)
        if info is None:
            left_out.append(path)
        else:
            files.append((path, info))
            size_bytes += info.size
        _check(files, size_bytes, limits)
    there = {path for path, _ in files}
    files += [(path, _of_folder(path)) for path in _folders_of(added) if path not in there]
    files += [(path, _of_file(path, len(content))) for path, content in added.items()]
    files.sort(key=lambda each: each[0].encode("utf-8", "surrogateescape"))
    with target.open("xb") as tar:
        for path, info in files:
            tar.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
            if path in added:
                tar.write(added[path] + bytes(-info.size % tarfile.BLOCKSIZE))
            elif info.isreg():
                _copy(tree / path, info.size, tar)
        tar.write(bytes(2 * tarfile.BLOCKSIZE))
    programs = [path for path, info in files if "/" not in path and info.isreg() and info.mode & EXECUTABLE]
    return Packed(left_out=tuple(left_out), programs=tuple(programs))


def _entries(folder: Path, prefix: str, depth: int) -> Iterator[tuple[str, os.DirEntry[str]]]:
    if depth > DEPTH_LIMIT:
        raise BuildFailed(f"cannot keep what was built: folders are nested more than {DEPTH_LIMIT} deep")
    with os.scandir(folder) as entries:
        for entry in entries:
            if depth == 0 and entry.name in LEFT_OUT:
                continue
            path = prefix + entry.name
            yield path, entry
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(folder / entry.name, f"{path}/", depth + 1)


def _info(path: str, entry: os.DirEntry[str]) -> tarfile.TarInfo | None:
    """Describe what may leave; None for a link out of the folder, a device, a pipe or a socket."""
    found = entry.stat(follow_symlinks=False)
    if stat.S_ISDIR(found.st_mode):
        return _of_folder(path)
    if stat.S_ISREG(found.st_mode):
        info = _of_file(path, found.st_size)
        info.mode = 0o755 if found.st_mode & EXECUTABLE else 0o644
        return info
    if stat.S_ISLNK(found.st_mode):
        link = os.readlink(entry.path)  # noqa: PTH115 - a Path would change its spelling
        joined = os.path.normpath(os.path.join(os.path.dirname(path), link))  # noqa: PTH118, PTH120 - not of this disk
        if link.startswith("/") or joined == ".." or joined.startswith("../"):
            return None
        info = _plain(path)
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, link, 0o777
        return info
    return None


def _of_folder(path: str) -> tarfile.TarInfo:
    info = _plain(path)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info


def _of_file(path: str, size: int) -> tarfile.TarInfo:
    info = _plain(path)
    info.size, info.mode = size, 0o644
    return info


def _plain(path: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.mtime = MADE_AT
    return info


def _folders_of(added: Mapping[str, bytes]) -> list[str]:
    return sorted({path.rpartition("/")[0] for path in added if "/" in path})


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _check(files: list[tuple[str, tarfile.TarInfo]], size_bytes: int, limits: TarLimits) -> None:
    if size_bytes > limits.bytes:
        raise BuildFailed(
            f"cannot keep what was built: it has more than {limits.bytes} bytes",
            hint="tasks.unpacked_bytes in the agent's configuration allows more",
        )
    if len(files) > limits.files:
        raise BuildFailed(
            f"cannot keep what was built: it has more than {limits.files} files",
            hint="tasks.unpacked_files in the agent's configuration allows more",
        )


def _copy(path: Path, size: int, tar: BinaryIO) -> None:
    left = size
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        while left and (piece := file.read(min(left, COPY_SIZE))):
            tar.write(piece)
            left -= len(piece)
    if left:
        raise BuildFailed(f"cannot keep what was built: {str(path.name)!a} changes while it is read")
    tar.write(bytes(-size % tarfile.BLOCKSIZE))
