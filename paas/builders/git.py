"""Fetch one commit of a repository, from a server that nobody vouches for.

The tree is taken out of the repository as a tar and unpacked like anybody's archive: no checkout, so no
hook, filter, submodule or large-file program ever has its turn. Git refuses a tree that has a `.git` in it.
"""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from paas.builders import git_answers
from paas.builders.git_answers import Wanted
from paas.builders.git_environment import check_token, environment
from paas.builders.git_process import Ended, run
from paas.builders.threads import done_in_thread
from paas.builders.trees import UnpackLimits, check_links
from paas.builders.unpack import unpack_tar
from paas.core.errors import BadArchive, BuildFailed, PaasError, Unavailable
from paas.core.masking import Mask
from paas.core.ports import BuildReport
from paas.core.records import dataclass
from paas.core.sources import check_ref, check_url

TEMPORARY = ".fetch-"
LOOK_SECS = 0.1
NAMES_BYTES = 32 * 1024**2  # of the list of branches and tags
TAR_HEADERS_BYTES = 2048  # of one file, and what fills its last block
# The files as they were committed, all of them: what a tree says of itself gives way to this.
ATTRIBUTES = "* -export-ignore -export-subst -text -ident -filter !working-tree-encoding\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitLimits:
    """What one fetch may take: time, bytes as sent and again as files, and how many files."""

    unpack: UnpackLimits
    secs: float = 300.0

    @property
    def file_bytes(self) -> int:
        """Say how large one file may become: what is sent, or the tar of it with its headers."""
        return self.unpack.bytes + self.unpack.files * TAR_HEADERS_BYTES


class GitFetcher:
    """Fetches with the machine's git, but none of its settings."""

    def __init__(self, limits: GitLimits) -> None:
        self._limits = limits

    async def fetch(
        self, url: str, *, ref: str | None, token: str | None, into: Path, report: BuildReport
    ) -> str:
        """Put the files of one commit into an empty folder, and return its full id.

        `ref` is a branch, else a tag, else a commit, full or abbreviated; None: the default branch. `token`
        reaches no command line, file or message. Raises Invalid, BuildFailed, BadArchive and Unavailable;
        then the folder may hold a part. A cancel ends every process.
        """
        repository = urlsplit(check_url(url))
        if ref is not None:
            check_ref(ref)
        if token is not None:
            check_token(repository, token)
        program = shutil.which("git")
        if program is None:
            raise Unavailable(f"cannot fetch {url}: git is not installed", hint="apt-get install -y git")
        await report.say([f"Fetching {url}" + (f" at {ref}" if ref else "")])
        with _named(url):
            async with _scratch(into.parent) as scratch, self._bounded(scratch):
                fetch = _Fetch(program, repository, token, scratch, self._limits, report)
                commit = await fetch.commit(ref)
                await fetch.unpack(commit, into)
        await report.say([f"Fetched commit {commit}"])
        return commit

    @contextlib.asynccontextmanager
    async def _bounded(self, scratch: Path) -> AsyncIterator[None]:
        """Give the block up, with BuildFailed, once it takes too long or too much room."""
        try:
            async with asyncio.timeout(self._limits.secs), asyncio.TaskGroup() as group:
                watching = group.create_task(_watch(scratch, self._limits))
                yield
                watching.cancel()
        except TimeoutError:
            raise BuildFailed(f"not done after {self._limits.secs:g} s") from None
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors


class _Fetch:
    """One fetch, in a bare repository that is gone afterwards."""

    def __init__(
        self,
        program: str,
        repository: SplitResult,
        token: str | None,
        scratch: Path,
        limits: GitLimits,
        report: BuildReport,
    ) -> None:
        self._program = program
        self._repository = repository
        self._has_token = token is not None
        self._mask = Mask([] if token is None else [token])  # a server may say it back
        self._scratch = scratch
        self._limits = limits
        self._report = report
        self._output = scratch / "output"
        self._environment = environment(repository, token, scratch)

    async def commit(self, ref: str | None) -> str:
        """Fetch what a reference means, and give the full id of its commit."""
        await self._made("init", "--quiet", "--bare", "--template=", "--initial-branch=main")
        attributes = self._scratch / "git" / "info" / "attributes"
        attributes.parent.mkdir(exist_ok=True)
        attributes.write_text(ATTRIBUTES)
        wanted = await self._wanted(ref)
        if wanted.refspec is not None and await self._fetched(wanted.refspec, wanted):
            return await self._resolved("FETCH_HEAD", wanted)
        await self._report.say(
            ["The server gives no commit by this id: fetching the history of all branches and tags"]
        )
        await self._made(
            *self._fetch_words, self._url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"
        )
        return await self._resolved(wanted.title.rpartition(" ")[2], wanted)

    async def unpack(self, commit: str, into: Path) -> None:
        """Put the files of a commit that is here into a folder."""
        await self._made("archive", "--format=tar", f"{commit}^{{tree}}", output=self._scratch / "tree")
        await done_in_thread(_unpack, self._scratch / "tree", into, self._limits.unpack)

    async def _wanted(self, ref: str | None) -> Wanted:
        """Look a reference up among the server's names, of which there may be a great many."""
        ended = await self._run("ls-remote", "--quiet", "--", self._url, file_bytes=NAMES_BYTES)
        if ended.code and self._output.stat().st_size >= NAMES_BYTES:
            raise BuildFailed("it has too many branches and tags")
        await self._check(ended)
        return await asyncio.to_thread(_choose, self._output, ref)

    @property
    def _url(self) -> str:
        return self._repository.geturl()

    @property
    def _fetch_words(self) -> tuple[str, ...]:
        return ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance")

    async def _fetched(self, refspec: str, wanted: Wanted) -> bool:
        """Fetch one commit without its history; False if the server will not give what has no name."""
        ended = await self._run(*self._fetch_words, "--depth=1", "--", self._url, refspec)
        if ended.code and git_answers.is_forbidden(ended.errors):
            return False
        if ended.code and git_answers.is_missing(ended.errors):
            raise BuildFailed(f"it has no {wanted.title}")
        await self._check(ended)
        return True

    async def _resolved(self, revision: str, wanted: Wanted) -> str:
        ended = await self._run("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
        if ended.code:
            if "ambiguous" in ended.errors:
                raise BuildFailed(f"it has several commits {revision}", hint="give more of the id")
            raise BuildFailed(f"it has no {wanted.title}")
        return (await self._said()).strip()

    async def _made(self, *arguments: str, output: Path | None = None) -> str:
        """Run git, which must succeed, and give its output unless that goes elsewhere."""
        await self._check(await self._run(*arguments, output=output))
        return await self._said() if output is None else ""

    async def _run(self, *arguments: str, output: Path | None = None, file_bytes: int | None = None) -> Ended:
        return await run(
            (self._program, *arguments),
            self._environment,
            output=output or self._output,
            file_bytes=file_bytes or self._limits.file_bytes,
        )

    async def _said(self) -> str:
        return await asyncio.to_thread(self._output.read_text, encoding="utf-8", errors="replace")

    async def _check(self, ended: Ended) -> None:
        if ended.code == 0:
            return
        if max(await asyncio.to_thread(_sizes, self._scratch)) >= self._limits.file_bytes:
            raise _too_large(self._limits)  # the kernel ended it there
        raise git_answers.explain(self._mask.hide(ended.errors), has_token=self._has_token)


def _choose(output: Path, ref: str | None) -> Wanted:
    names = git_answers.parse_names(output.read_text(encoding="utf-8", errors="replace"))
    return git_answers.choose(names, ref)


def _unpack(tar: Path, into: Path, limits: UnpackLimits) -> None:
    into.mkdir(exist_ok=True)
    with tar.open("rb") as file:
        unpack_tar(file, into, limits, gzipped=False)
    check_links(into)


@contextlib.asynccontextmanager
async def _scratch(parent: Path) -> AsyncIterator[Path]:
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=TEMPORARY, dir=parent))
    try:
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


@contextlib.contextmanager
def _named(url: str) -> Iterator[None]:
    """Say of which repository a cause speaks."""
    try:
        yield
    except BadArchive:
        raise  # names what is wrong in it
    except PaasError as error:
        error.message = f"cannot fetch {url}: {error.message}"
        error.args = (error.message,)
        raise
    except OSError as error:
        raise Unavailable(f"cannot fetch {url}: {error.strerror or error}") from error


async def _watch(folder: Path, limits: GitLimits) -> None:
    """Look at what a folder holds, for ever. Raises BuildFailed once that is too much."""
    while True:
        if sum(await asyncio.to_thread(_sizes, folder)) > 2 * limits.file_bytes:
            raise _too_large(limits)
        await asyncio.sleep(LOOK_SECS)


def _too_large(limits: GitLimits) -> BuildFailed:
    return BuildFailed(
        f"it has more than {limits.unpack.bytes} bytes",
        hint="builds.context_bytes in the agent's configuration allows more",
    )


def _sizes(folder: Path) -> list[int]:
    sizes = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # gone or renamed meanwhile
            sizes.append(path.lstat().st_size)
    return sizes
