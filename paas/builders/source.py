"""Make programs from source: unpacked, built in a sandbox, packed again."""

import asyncio
import contextlib
import fnmatch
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from paas.builders.build_cache import BuildCache
from paas.builders.build_process import BuildProcess, RunLimits
from paas.builders.build_script import STEP, added_files, script
from paas.builders.containment import Containment
from paas.builders.program_tar import TarLimits, pack
from paas.builders.recipes import RecipeTable
from paas.builders.sandbox import Folders, Sandbox, find_sandbox
from paas.core.builds import BuildOptions, Program, Recipe, SourceOrder
from paas.core.errors import BuildFailed, Unavailable
from paas.core.ports import BuildReport
from paas.core.records import dataclass, replace
from paas.launching import children
from paas.launching.cgroups import Cgroups, find_cgroups
from paas.launching.users import User

SCRIPT, STEPS, RESULT = "build.sh", "steps.sh", "program.tar"
KILLED = frozenset({137, -9})
ENVIRONMENT: Mapping[str, str] = {
    "PATH": children.PLAIN_ENVIRONMENT["PATH"],
    "LANG": "C.UTF-8",
    # What would differ from one build to the next, in what it makes.
    "SOURCE_DATE_EPOCH": "315532800",
    "PYTHONHASHSEED": "0",
    "GOFLAGS": "-modcacherw",  # else its cache can be deleted by root alone
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """What builds may take and see, and where their caches are."""

    limits: RunLimits
    program: TarLimits
    cache_root: Path
    cache_bytes: int
    user: User | None  # who builds when the agent is root
    no_user: str | None = None  # why there is none, where there should be one
    readable: tuple[str, ...] = ()
    passed: Mapping[str, str]  # of the agent's environment
    use_bwrap: bool = True
    use_cgroups: bool = True


class SourcePrograms:
    """Implements `core.ports.SourceBuilder`."""

    def __init__(self, table: RecipeTable, settings: SourceSettings) -> None:
        self._table = table
        self._settings = settings
        self._cache = BuildCache(settings.cache_root, settings.cache_bytes)
        self._sandbox: Sandbox | None = None
        self._cgroups: Cgroups | None = None
        self._opening = asyncio.Lock()
        self._alone = asyncio.Lock()

    async def detect(self, tree: Path, options: BuildOptions) -> Recipe:
        return await asyncio.to_thread(self._table.detect, tree, options)

    async def build(self, order: SourceOrder, report: BuildReport) -> Program:
        """See `core.ports.SourceBuilder`. Of the tree and the workspace nothing is left but the program."""
        order = replace(
            order,
            tree=await asyncio.to_thread(order.tree.resolve),
            workspace=await asyncio.to_thread(order.workspace.resolve),
        )
        folders = Folders(workspace=order.workspace, tree=order.tree)
        kept = _kept_places(order.recipe.cache, folders)
        try:
            if order.recipe.build:
                await self._run(order, folders, kept, report)
            program = await self._pack(order, report)
            if order.recipe.build:
                await self._cache.keep(order.cache_key, kept)
        except BaseException:
            await asyncio.shield(children.delete(order.workspace / RESULT))
            raise
        finally:
            await asyncio.shield(_clear(folders))
        return program

    async def _opened(self, workspace: Path) -> Sandbox:
        """Find out once what this machine allows."""
        async with self._opening:
            if self._sandbox is None:
                settings = self._settings
                if settings.use_cgroups:
                    self._cgroups = await asyncio.to_thread(find_cgroups)
                await self._cache.sweep()
                self._sandbox = (
                    await find_sandbox(settings.user, settings.readable, workspace / "trial")
                    if settings.use_bwrap
                    else Sandbox(user=settings.user, bwrap=None)
                )
            return self._sandbox

    async def _prepare(
        self, order: SourceOrder, sandbox: Sandbox, folders: Folders, kept: Sequence[Path]
    ) -> None:
        """Fill the workspace; what the build may change becomes its user's. Raises Unavailable."""
        try:
            inside = sandbox.inside(folders)
            environment = self._environment(order, inside)
            self._check_needs(order.recipe, environment["PATH"])
            text = script(order.recipe.build, inside, environment, inside.workspace / STEPS)
            await asyncio.to_thread(_make, folders, text, sandbox.user)
            if not order.no_cache:
                await self._cache.fill(order.cache_key, kept)
            if sandbox.user is not None:
                whose = f"{sandbox.user.uid}:{sandbox.user.gid}"
                await _done("chown", "-R", "-h", whose, folders.tree, *_private(folders))
        except OSError as error:
            raise Unavailable(f"cannot build: {error.strerror or error}") from error

    def _environment(self, order: SourceOrder, inside: Folders) -> dict[str, str]:
        places = {"HOME": str(inside.home), "TMPDIR": str(inside.temporary)}
        return {**ENVIRONMENT, **places, **self._settings.passed, **order.env}

    def _check_needs(self, recipe: Recipe, path: str) -> None:
        for program, install in self._table.needs(recipe).items():
            if shutil.which(program, path=path) is None:
                raise BuildFailed(
                    f"cannot build: {program} is not on this machine, which the recipe {recipe.name} needs",
                    hint=install,
                )

    async def _run(
        self, order: SourceOrder, folders: Folders, kept: Sequence[Path], report: BuildReport
    ) -> None:
        """Run the commands of a recipe, alone where only their user tells them from those of other builds."""
        if self._settings.no_user is not None:
            raise Unavailable(self._settings.no_user, hint="install.sh makes it")
        sandbox = await self._opened(order.workspace)
        if sandbox.bwrap is None:
            await report.say(["Without bubblewrap this build can read what all users of the machine can."])
        await self._prepare(order, sandbox, folders, kept)
        containment = Containment(order.build_id, sandbox, self._cgroups)
        async with self._alone if containment.is_shared else contextlib.nullcontext():
            await self._run_in(sandbox, containment, order, folders, report)

    async def _run_in(
        self,
        sandbox: Sandbox,
        containment: Containment,
        order: SourceOrder,
        folders: Folders,
        report: BuildReport,
    ) -> None:
        program = ("/bin/sh", str(sandbox.inside(folders).workspace / SCRIPT))
        process = BuildProcess(containment, (folders.workspace, folders.tree), self._settings.limits)
        code = await process.run(sandbox.command(folders, program), report)
        if code:
            step = await asyncio.to_thread(_step, folders.temporary / STEP)
            raise _failed(order.recipe.build, step, code, self._settings.limits)

    async def _pack(self, order: SourceOrder, report: BuildReport) -> Program:
        target = order.workspace / RESULT
        try:
            added = await asyncio.to_thread(added_files, order.tree, order.recipe.start)
            packed = await asyncio.to_thread(pack, order.tree, target, added, self._settings.program)
        except OSError as error:
            raise Unavailable(f"cannot keep what was built: {error.strerror or error}") from error
        if packed.left_out:
            names = ", ".join(ascii(name) for name in packed.left_out[:5])
            await report.say([f"Left out, being no files or links out of the folder: {names}"])
        if not added and len(packed.programs) != 1:
            raise BuildFailed(
                f"cannot run what was built: it has {len(packed.programs)} executable files at its root",
                hint="say how it is started: a Procfile with a line such as `web: ./server --port $PORT`",
            )
        return Program(path=target, name=RESULT)


def passed_on(names: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Choose variables by names, which may be patterns such as PIP_*."""
    return {
        name: value
        for name, value in environment.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in names)
    }


def _kept_places(names: Sequence[str], folders: Folders) -> list[Path]:
    """Say where the folders are that the cache keeps. Raises BuildFailed for one that is not the build's."""
    places = []
    for name in names:
        base, relative = (folders.home, name[2:]) if name.startswith("~/") else (folders.tree, name)
        path = PurePosixPath(relative)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in relative:
            raise BuildFailed(f"cannot keep {name!a} for the next build: it is no folder of the build's")
        places.append(base / path)
    return places


def _private(folders: Folders) -> tuple[Path, ...]:
    return (folders.home, folders.temporary, folders.memory)


def _make(folders: Folders, text: bytes, user: User | None) -> None:
    folders.workspace.chmod(0o711)
    for folder in (*_private(folders), folders.workspace / "source"):
        folder.mkdir(mode=0o700, exist_ok=True)
    folders.tree.chmod(0o700)
    steps = folders.workspace / STEPS
    steps.write_bytes(Path(__file__).with_name("steps.sh").read_bytes())
    steps.chmod(0o644)
    path = folders.workspace / SCRIPT
    path.touch(mode=0o600)
    path.write_bytes(text)  # which may hold secrets
    if user is not None:
        user.give(path)


async def _clear(folders: Folders) -> None:
    """Delete all but the result, however deep or locked a build has made it."""
    names = (SCRIPT, STEPS, "source")
    await children.delete(folders.tree, *_private(folders), *(folders.workspace / name for name in names))


async def _done(*command: str | Path) -> None:
    code, said = await children.run(list(map(str, command)))
    if code:
        raise OSError(said.decode("utf-8", "replace").strip())


def _step(path: Path) -> int:
    """Read which command ran last; the file is the build's, and may say anything."""
    try:
        if path.is_symlink() or not path.is_file():
            return -1
        with path.open("rb") as file:
            return int(file.read(8))
    except (OSError, ValueError):
        return -1


def _failed(commands: Sequence[str], step: int, code: int, limits: RunLimits) -> BuildFailed:
    if not 0 <= step < len(commands):
        return BuildFailed(f"cannot build: its shell ended with exit code {code}")
    mebibytes = limits.processes.memory_bytes // 1024**2
    hint = f"it may have needed more than {mebibytes} MiB of memory" if code in KILLED else None
    return BuildFailed(f"cannot build: `{commands[step]}` ended with exit code {code}", hint=hint)
