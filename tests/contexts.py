"""Folders to build images from, on an engine that reaches no registry."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tests.docker_engine import BOX, Image, load_image

BASE = f"FROM {BOX}\n"
SERVE = f'{BASE}COPY index.html /www/\nEXPOSE 8080\nCMD ["sh", "-c", "exec httpd -f -p $PORT -h /www"]\n'


def load_base(socket: Path) -> None:
    """Give the engine what the Dockerfiles begin with."""
    load_image(socket, Image(config={"Cmd": ["sh"], "Env": ["PATH=/bin"]}))


def archive(dockerfile: str, files: Mapping[str, str] | None = None) -> bytes:
    """Pack a Dockerfile, and what else is given, as a tar.gz."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, text in {"Dockerfile": dockerfile, **(files or {})}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return stream.getvalue()


def fill(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files, with the folders that they are in."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
