"""What is uploaded: a file as it is, or a folder as a tar.gz; and the name an app gets from it."""

import contextlib
import gzip
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from paas.cli.problems import Problem
from paas.core.dockerignore import Dockerignore, names_of
from paas.core.records import dataclass

COMPRESSION = 6
ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
SCRIPT_SUFFIX = re.compile(r"\.[A-Za-z]{1,4}$")  # of a file only: hello.py is the app hello
LONGEST_NAME = 40
# What a build makes anew, or never needs; links of virtual environments lead out of the folder besides.
NEVER_SENT = "\n".join([".git", *(f"**/{name}" for name in (".venv", "venv", "node_modules", "__pycache__"))])


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Bytes to upload, and what they are called."""

    file: BinaryIO
    name: str
    content_type: str
    size_bytes: int


@contextlib.contextmanager
def packed(path: Path) -> Iterator[Package]:
    """Open a file, or pack a folder into a temporary one that is gone afterwards.

    Memory stays flat whatever the size. The same folder gives the same bytes, so that the agent
    keeps and unpacks them once. Raises Problem for what cannot be read or packed.
    """
    with contextlib.ExitStack() as opened:
        try:
            package = _folder(path, opened) if path.is_dir() else _file(path, opened)
        except (OSError, tarfile.TarError) as error:
            raise Problem(f"cannot read {path}: {error}") from error
        yield package


@contextlib.contextmanager
def packed_context(folder: Path, dockerfile: str) -> Iterator[Package]:
    """Pack what a Dockerfile is built from, without what .dockerignore leaves out; otherwise as `packed`."""
    with contextlib.ExitStack() as opened:
        try:
            package = _folder(folder, opened, _ignore_of(folder, dockerfile))
        except (OSError, tarfile.TarError) as error:
            raise Problem(f"cannot read {folder}: {error}") from error
        yield package


@contextlib.contextmanager
def packed_source(folder: Path) -> Iterator[Package]:
    """Pack a source, without its history and what is installed in it; otherwise as `packed`."""
    with contextlib.ExitStack() as opened:
        try:
            package = _folder(folder, opened, Dockerignore.parse(NEVER_SENT))
        except (OSError, tarfile.TarError) as error:
            raise Problem(f"cannot read {folder}: {error}") from error
        yield package


def app_name(path: Path) -> str:
    """Make an app's name of a path's: lower case, letters, digits and single hyphens."""
    whole = path.resolve()
    name = whole.name
    if not whole.is_dir():
        suffix = next((end for end in ARCHIVE_SUFFIXES if name.lower().endswith(end)), None)
        name = name[: -len(suffix)] if suffix is not None else SCRIPT_SUFFIX.sub("", name)
    return valid_name(name)


def valid_name(text: str) -> str:
    """Make an app's name of any text, likewise. Raises Problem."""
    valid = re.sub(r"[^a-z0-9]+", "-", text.lower())[:LONGEST_NAME].strip("-")
    if not valid:
        raise Problem(f"cannot make a name of {text}", hint="give one with --name")
    return valid


def _folder(path: Path, opened: contextlib.ExitStack, ignore: Dockerignore | None = None) -> Package:
    file = opened.enter_context(tempfile.TemporaryFile(prefix="paas-"))  # noqa: SIM115 - the stack closes it
    _pack(path, file, ignore)
    size_bytes = file.tell()
    file.seek(0)
    name = f"{path.resolve().name or 'app'}.tar.gz"
    return Package(file=file, name=name, content_type="application/gzip", size_bytes=size_bytes)


def _file(path: Path, opened: contextlib.ExitStack) -> Package:
    if not path.is_file():  # asked first: to open a pipe would wait for its other end
        raise Problem(f"cannot deploy {path}: it is neither a file nor a folder")
    file = opened.enter_context(path.open("rb"))
    size_bytes = os.fstat(file.fileno()).st_size
    return Package(file=file, name=path.name, content_type="application/octet-stream", size_bytes=size_bytes)


def _pack(folder: Path, file: IO[bytes], ignore: Dockerignore | None) -> None:
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=COMPRESSION, fileobj=file, mtime=0) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path, name in _entries(folder, "", ignore):
            entry = archive.gettarinfo(str(path), arcname=name)
            if entry is None:  # tarfile's answer for a socket
                raise Problem(f"cannot pack {path}: it is a socket")
            if not (entry.isreg() or entry.isdir() or entry.issym() or entry.islnk()):
                raise Problem(f"cannot pack {path}: it is a device or a pipe")
            _anonymise(entry)
            if entry.isreg():
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                archive.addfile(entry)


def _entries(folder: Path, prefix: str, ignore: Dockerignore | None) -> Iterator[tuple[Path, str]]:
    """Yield what is not left out of a folder, with its name, in an order that does not depend on the disk."""
    for path in sorted(folder.iterdir()):
        name = prefix + path.name
        is_left_out = ignore is not None and ignore.leaves_out(name)
        if not is_left_out:
            yield path, name
        if ignore is not None and is_left_out and not ignore.may_keep_below(name):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _entries(path, f"{name}/", ignore)


def _ignore_of(folder: Path, dockerfile: str) -> Dockerignore:
    for name in names_of(dockerfile):
        path = folder / name
        if path.is_file():
            try:
                return Dockerignore.parse(
                    path.read_text(encoding="utf-8", errors="replace"), needed=frozenset({dockerfile})
                )
            except ValueError as error:
                raise Problem(f"cannot read {path}: {error}") from error
    return Dockerignore.parse("")


def _anonymise(entry: tarfile.TarInfo) -> None:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = int(entry.mtime)
