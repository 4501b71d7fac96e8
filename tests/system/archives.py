"""Archives of programs that are on this machine."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path


def archive(files: Mapping[str, bytes | Path]) -> bytes:
    """Pack a tar.gz; a path is taken as a program, with its mode."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as packed:
        for name, content in files.items():
            data = content.read_bytes() if isinstance(content, Path) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mode = 0o755 if isinstance(content, Path) else 0o644
            packed.addfile(member, io.BytesIO(data))
    return stream.getvalue()
