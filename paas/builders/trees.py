"""What may lie in a tree of files that a stranger sent. Cheap to load: archives are unpacked elsewhere."""

import os
from pathlib import Path

from paas.core.errors import BadArchive
from paas.core.records import dataclass

EXECUTABLE = 0o111


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackLimits:
    """How much one archive may become: bytes really written, and members of any kind."""

    bytes: int = 2 * 1024**3
    files: int = 50_000


def check_links(folder: Path) -> None:
    """Resolve every link of a finished tree: ones that are harmless alone may leave it together."""
    root = os.path.realpath(folder)
    for parent, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(parent, name)
            if not path.is_symlink():
                continue
            resolved = os.path.realpath(path)
            if resolved != root and not resolved.startswith(root + os.sep):
                raise refused(str(path.relative_to(root)), "its link leaves the folder")


def quoted(name: str) -> str:
    return ascii(name if len(name) <= 200 else f"{name[:200]}...")  # noqa: PLR2004 - enough to recognise it


def refused(name: str, cause: str) -> BadArchive:
    return BadArchive(f"cannot unpack {quoted(name)}: {cause}")
