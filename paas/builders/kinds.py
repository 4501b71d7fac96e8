"""Which kind of archive it is, by its first bytes, and where in it the project lies."""

import os
from pathlib import Path
from typing import BinaryIO

from paas.builders.trees import UnpackLimits

HEAD_SIZE = 512  # one block of tar, where its magic word stands at 257


def unpack_any(file: BinaryIO, head: bytes, folder: Path, limits: UnpackLimits) -> bool:
    """Unpack a tar, tar.gz or zip into an empty folder; False, with nothing done, if it is none of them.

    Raises BadArchive and Unavailable, as `unpack_tar` does.
    """
    # Loaded with the first archive: an agent that only wakes what it has needs none.
    from paas.builders.unpack import unpack_tar, unpack_zip  # noqa: PLC0415

    if head.startswith(b"\x1f\x8b"):
        unpack_tar(file, folder, limits, gzipped=True)
    elif head[257:262] == b"ustar":
        unpack_tar(file, folder, limits, gzipped=False)
    elif head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        unpack_zip(file, folder, limits)
    else:
        return False
    return True


def look_through(folder: Path) -> Path:
    """Find the folder that counts as the root: many archivers put one folder around everything."""
    entries = list(os.scandir(folder))
    if len(entries) == 1 and entries[0].is_dir(follow_symlinks=False):
        return folder / entries[0].name
    return folder
