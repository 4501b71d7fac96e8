"""Build small trees for real, by every way in which builds are kept apart."""

import asyncio
import contextlib
import io
import os
import secrets
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paas.builders.build_process import RunLimits
from paas.builders.containment import ProcessLimits
from paas.builders.program_tar import TarLimits
from paas.builders.recipes import RecipeTable
from paas.builders.source import SourcePrograms, SourceSettings
from paas.core.builds import Program, Recipe, SourceOrder
from paas.core.ids import BuildId
from paas.core.records import replace
from paas.launching.cgroups import find_cgroups
from paas.launching.users import User
from tests.requirements import require, require_root

MEBIBYTE = 1024**2
LIMITS = RunLimits(
    secs=60,
    processes=ProcessLimits(memory_bytes=1024 * MEBIBYTE, cpus=2, processes=64, file_bytes=64 * MEBIBYTE),
    workspace_bytes=64 * MEBIBYTE,
    workspace_files=2000,
    output_bytes=MEBIBYTE,
    free_bytes=1,
)
# By what the processes of a build are told from others.
MODES = ("control group", "process space", "user")


@dataclass(slots=True)
class Report:
    """Hears a build."""

    lines: list[str] = field(default_factory=list)

    async def say(self, lines: Sequence[str]) -> None:
        self.lines += lines

    async def made(self, image_id: str) -> None:
        raise AssertionError(image_id)


@dataclass(slots=True)
class Rig:
    """Makes builders, and builds with them in folders of its own."""

    folder: Path
    user: User
    report: Report = field(default_factory=Report)
    settings: SourceSettings = field(init=False)
    builds: int = 0

    def __post_init__(self) -> None:
        self.settings = SourceSettings(
            limits=LIMITS,
            program=TarLimits(bytes=64 * MEBIBYTE, files=1000),
            cache_root=self.folder / "cache",
            cache_bytes=4 * MEBIBYTE,
            user=self.user,
            passed={},
        )

    def held_by(self, mode: str) -> None:
        if mode == "control group" and find_cgroups() is None:
            mode = "process space"
        self.settings = replace(self.settings, use_cgroups=mode == "control group", use_bwrap=mode != "user")

    async def build(
        self,
        *commands: str,
        files: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        start: str | None = "./run",
        cache: tuple[str, ...] = (),
        no_cache: bool = False,
    ) -> Program:
        """Build a tree by shell commands. Raises what the builder does."""
        recipe = Recipe(name="custom", build=commands, start=start, cache=cache)
        return await self.build_by(recipe, files or {}, env or {}, no_cache=no_cache)

    async def build_by(
        self, recipe: Recipe, files: Mapping[str, str], env: Mapping[str, str], *, no_cache: bool = False
    ) -> Program:
        self.builds += 1
        workspace = self.workspace(self.builds)
        workspace.mkdir(parents=True)
        tree = workspace.parent / "source"
        tree.mkdir()
        for name, content in files.items():
            (tree / name).write_text(content)
        order = SourceOrder(
            build_id=BuildId(f"{os.getpid()}-{id(self)}-{self.builds}"),
            tree=tree,
            workspace=workspace,
            recipe=recipe,
            env=env,
            cache_key="0" * 64,
            no_cache=no_cache,
        )
        return await SourcePrograms(RecipeTable(), self.settings).build(order, self.report)

    def workspace(self, number: int) -> Path:
        return self.folder / f"build-{number}" / "work"

    def left(self) -> list[Path]:
        """List what builds have left on the disk, but for folders that were there before and programs."""
        found = [
            path for path in self.folder.glob("build-*/**/*") if path.name not in {"work", "program.tar"}
        ]
        return sorted(found)

    def processes(self) -> list[str]:
        """List the living processes of the builds' user."""
        return [path.name for path in Path("/proc").glob("[0-9]*") if _lives(path, self.user.uid)]


@contextlib.contextmanager
def rigged() -> Iterator[Rig]:
    """Make a rig with a user that nobody else has. Leaves the test out without root or bubblewrap."""
    require_root()
    require("bwrap")
    # Not below pytest's own folder: builds run as another user, who may not enter that.
    with tempfile.TemporaryDirectory(prefix="paas-test-") as folder:
        Path(folder).chmod(0o755)
        number = 200_000 + secrets.randbelow(2**30)  # what was killed may count as its user's for a while
        yield Rig(Path(folder), User(uid=number, gid=number))


def contents(program: Program) -> dict[str, str]:
    """Read the files of a program."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(program.path.read_bytes())) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            found[member.name] = "" if content is None else content.read().decode("utf-8", "replace")
    return found


def _lives(process: Path, uid: int) -> bool:
    try:
        state = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        return process.stat().st_uid == uid and state not in "ZX"
    except OSError:
        return False


async def appears(path: Path) -> None:
    """Wait until something is there."""
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(path.exists):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)
