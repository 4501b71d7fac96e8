"""Make an uploaded program ready to run: unpack it once, find its command."""

import asyncio
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from paas.builders import procfile
from paas.builders.kinds import HEAD_SIZE, look_through, unpack_any
from paas.builders.trees import EXECUTABLE, UnpackLimits, check_links
from paas.core.errors import BadArchive, Unavailable
from paas.core.model import Artifact, Built, Deployment

PROCFILE = "Procfile"
PROCFILE_LIMIT = 64 * 1024  # bytes
TEMPORARY = ".unpack-"
FRESH_S = 600.0  # whoever lists what is in use may not know the newest build yet


class ArchiveBuilder:
    """Unpacks artifacts below `programs_root`, one folder a content; `artifact_path` finds the bytes."""

    def __init__(
        self, programs_root: Path, artifact_path: Callable[[str], Path], limits: UnpackLimits
    ) -> None:
        self._programs_root = programs_root
        self._artifact_path = artifact_path
        self._limits = limits

    def folder(self, sha256: str) -> Path:
        """Say where a content is unpacked; tasks run there."""
        return self._programs_root / sha256

    async def build(self, deployment: Deployment, artifact: Artifact | None) -> Built:
        """Unpack it, once per content, and return its commands, to be run in its `folder`.

        An artifact is an executable file, or a tar, tar.gz or zip with a Procfile or a single executable
        at its root (a single folder around everything is looked through). Raises BadArchive; nothing
        is left behind then. Safe to repeat and to cancel.
        """
        if artifact is None or artifact.sha256 is None:
            raise BadArchive(f"cannot build deployment {deployment.id}: nothing was uploaded yet")
        return await asyncio.to_thread(self._build, artifact.sha256, artifact.name)

    async def delete(self, sha256: str) -> None:
        """Delete an unpacked program that no task uses; absent is success."""
        await asyncio.to_thread(shutil.rmtree, self.folder(sha256), ignore_errors=True)

    async def keep_only(self, sha256s: Iterable[str]) -> None:
        """Delete all other unpacked programs, but none that was made in the last minutes."""
        await asyncio.to_thread(self._keep_only, frozenset(sha256s))

    async def sweep_temporary(self) -> None:
        """Delete what builds cut off by an earlier end of the agent left; call before any `build`."""
        await asyncio.to_thread(self._sweep_temporary)

    def _build(self, sha256: str, name: str) -> Built:
        folder = self.folder(sha256)
        if folder.is_dir():
            return _built(folder)
        try:
            self._programs_root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=self._programs_root) as temporary:
                return self._build_in(Path(temporary), folder, self._artifact_path(sha256), name)
        except FileNotFoundError as error:
            raise BadArchive("cannot build the artifact: its bytes are gone; upload them again") from error
        except OSError as error:
            raise Unavailable(f"cannot unpack the artifact: {error.strerror or error}") from error

    def _build_in(self, temporary: Path, folder: Path, source: Path, name: str) -> Built:
        unpacked = temporary / secrets.token_hex(8)  # a name no link in an archive can know
        unpacked.mkdir()
        self._fill(unpacked, source, name)
        program = look_through(unpacked)
        check_links(program)  # the folder around it is about to go
        program.chmod(0o755)
        built = _built(program)
        try:
            program.rename(folder)
        except OSError:
            if not folder.is_dir():  # another build of the same content was faster
                raise
        return built

    def _fill(self, folder: Path, source: Path, name: str) -> None:
        with source.open("rb", buffering=0) as file:
            head = file.read(HEAD_SIZE)
            file.seek(0)
            if is_program(head):
                _place_program(file, folder / safe_name(name))
            elif not unpack_any(file, head, folder, self._limits):
                raise BadArchive(
                    "cannot build the artifact: it is neither a program nor an archive",
                    hint="upload an ELF or `#!` executable, or a tar, tar.gz or zip",
                )

    def _keep_only(self, sha256s: frozenset[str]) -> None:
        for path in self._programs_root.glob("[!.]*"):
            if path.name not in sha256s and path.stat().st_ctime < time.time() - FRESH_S:
                shutil.rmtree(path, ignore_errors=True)

    def _sweep_temporary(self) -> None:
        for path in self._programs_root.glob(f"{TEMPORARY}*"):
            shutil.rmtree(path, ignore_errors=True)


def is_program(head: bytes) -> bool:
    """Say whether Linux can run a file that starts so: an ELF binary, or a script with `#!`."""
    return head.startswith((b"\x7fELF", b"#!"))


def safe_name(name: str) -> str:
    """Turn an artifact's name into a file name that needs no quoting anywhere."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", os.path.basename(name)).lstrip(".-")  # noqa: PTH119 - no path
    return plain[:100] or "program"


def _place_program(file: BinaryIO, target: Path) -> None:
    with target.open("xb") as copy:
        shutil.copyfileobj(file, copy)
    target.chmod(0o755)  # an upload says nothing of its mode


def _built(folder: Path) -> Built:
    path = folder / PROCFILE
    if path.is_file() and not path.is_symlink():
        with path.open("rb") as file:
            return procfile.built_of(file.read(PROCFILE_LIMIT).decode("utf-8", "replace"))
    programs = programs_in(folder)
    match programs:
        case [program]:
            return Built(command=(f"./{program.name}",))
        case []:
            cause = "it has neither a Procfile nor an executable file at its root"
        case _:
            names = ", ".join(sorted(ascii(program.name) for program in programs)[:5])
            cause = f"it has no Procfile and more than one executable at its root: {names}"
    raise BadArchive(
        f"cannot build the artifact: {cause}",
        hint="add a file named Procfile with a line such as `web: ./server`",
    )


def programs_in(folder: Path) -> list[Path]:
    """List the executables at the root; by content where no file has the mode, as in zips from Windows."""
    files = [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]
    executable = [path for path in files if stat.S_IMODE(path.stat().st_mode) & EXECUTABLE]
    if executable:
        return executable
    programs = [path for path in files if is_program(_head(path))]
    if len(programs) == 1:
        programs[0].chmod(0o755)
    return programs


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)
