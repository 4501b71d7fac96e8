"""The folder that is built: out of an archive, inside its source, and named by all that it holds."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from paas.builders.kinds import HEAD_SIZE, look_through, unpack_any
from paas.builders.trees import EXECUTABLE, UnpackLimits, check_links
from paas.core.errors import BadArchive, BuildFailed, Unavailable


def unpack_source(archive: Path, folder: Path, limits: UnpackLimits, *, wanted: str = "") -> Path:
    """Unpack a source into an empty folder and return its root.

    A single folder around everything is looked through, unless `wanted`, the path of what is needed, is
    there without. Raises BadArchive, and Unavailable if the disk cannot take it.
    """
    try:
        with archive.open("rb", buffering=0) as file:
            head = file.read(HEAD_SIZE)
            file.seek(0)
            if not unpack_any(file, head, folder, limits):
                raise BadArchive(
                    "cannot build: the source is not an archive", hint="send a tar, tar.gz or zip"
                )
    except OSError as error:
        raise Unavailable(f"cannot unpack the source: {error.strerror or error}") from error
    root = folder if wanted and (folder / wanted).exists() else look_through(folder)
    check_links(root)
    return root


def folder_inside(root: Path, path: str) -> Path:
    """Find a folder inside a source. Raises BuildFailed if it is none, or leads out of it."""
    real_root = os.path.realpath(root)
    real = os.path.realpath(root / path)
    if real != real_root and not real.startswith(real_root + os.sep):
        raise BuildFailed(f"cannot build {path!a}: it leads out of the source")
    if not Path(real).is_dir():
        raise BuildFailed(f"cannot build {path!a}: there is no such folder in the source")
    return Path(real)


def digest_of(tree: Path) -> str:
    """Name a tree by its names, contents, links and which files may be run. Blocks on the disk."""
    digest = hashlib.sha256()
    for path, entry in _entries(tree, ""):
        name = os.fsencode(path)
        if entry.is_symlink():
            digest.update(b"l%d %s %s\0" % (len(name), name, os.fsencode(Path(entry.path).readlink())))
        elif entry.is_dir():
            digest.update(b"d%d %s\0" % (len(name), name))
        else:
            kind = b"x" if entry.stat().st_mode & EXECUTABLE else b"f"
            digest.update(b"%s%d %s %s\0" % (kind, len(name), name, _digest_of_file(entry.path)))
    return digest.hexdigest()


def digest_of_file(tree: Path, name: str) -> str:
    """Name the contents of one file of a tree; empty if it is no plain file."""
    path = tree / name
    return _digest_of_file(str(path)).hex() if path.is_file() and not path.is_symlink() else ""


def _entries(folder: Path, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        yield prefix + entry.name, entry
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(folder / entry.name, f"{prefix}{entry.name}/")


def _digest_of_file(path: str) -> bytes:
    with Path(path).open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").digest()
