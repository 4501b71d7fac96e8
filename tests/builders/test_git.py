"""Fetching from a real Git server: what is found, what is refused, and what nobody may learn."""

import asyncio
import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from paas.builders.git import GitFetcher, GitLimits
from paas.builders.trees import UnpackLimits
from paas.core.errors import BadArchive, BuildFailed, Invalid, PaasError
from tests.git_server import GitServer, serving
from tests.requirements import require
from tests.waiting import until

TOKEN = "tok-123-very-secret"
WRITE_TREE = ("hash-object", "-w", "-t", "tree", "--stdin", "--literally")  # as no git would
SUBMODULE = '[submodule "other"]\n\tpath = other\n\turl = {url}\n'


class Heard:
    """Keeps what a build would log."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def say(self, lines: Sequence[str]) -> None:
        self.lines += lines

    async def made(self, image_id: str) -> None:
        raise AssertionError(image_id)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    require("git")
    with serving(tmp_path / "repositories") as found:
        yield found


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work" / "tree"


def fetcher(*, size: int = 8 * 1024**2, files: int = 100, secs: float = 30) -> GitFetcher:
    return GitFetcher(GitLimits(unpack=UnpackLimits(bytes=size, files=files), secs=secs))


def files_of(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_branch_tag_and_commit_are_found(server: GitServer, heard: Heard, folder: Path) -> None:
    first = server.publish("me/app.git", {"a.txt": "one", "sub/run": "#!/bin/sh\n"})
    server.git("me/app.git", "tag", "v1")
    server.git("me/app.git", "tag", "-a", "-m", "noted", "v1-noted")
    second = server.publish("me/app.git", {"a.txt": "two"})
    wanted = {None: second, "main": second, "v1-noted": first, first: first, first[:8]: first}

    for number, (ref, commit) in enumerate(wanted.items()):
        into = folder.with_name(f"tree{number}")
        found = await fetcher().fetch(
            server.address("me/app.git"), ref=ref, token=None, into=into, report=heard
        )
        assert found == commit, ref
        text = (into / "a.txt").read_text()
        assert text == ("one" if commit == first else "two"), ref

    assert os.access(folder.with_name("tree2") / "sub" / "run", os.X_OK)
    assert not os.access(folder.with_name("tree2") / "a.txt", os.X_OK)
    assert not list(folder.parent.rglob(".*")), "neither .git nor what it was fetched to stays"
    assert f"Fetched commit {first}" in heard.lines


async def test_commit_is_found_where_the_server_gives_none_by_its_id(
    server: GitServer, heard: Heard, folder: Path
) -> None:
    server.knows_protocol_2 = False
    first = server.publish("app", {"a.txt": "one"})
    server.publish("app", {"a.txt": "two"})

    found = await fetcher().fetch(server.address("app"), ref=first, token=None, into=folder, report=heard)

    assert found == first
    assert (folder / "a.txt").read_text() == "one"
    assert any("fetching the history" in line for line in heard.lines)


async def test_what_is_not_there_is_said(server: GitServer, heard: Heard, folder: Path) -> None:
    url = server.address("app")
    commit = server.publish("app", {"a.txt": "one"})
    server.git("app", "update-ref", "refs/heads/other", server.git("app", "rev-parse", "main^{commit}"))
    absent = "0" * 40
    wrong = {
        "mian": ("it has no branch, tag or commit mian", "did you mean main?"),
        absent: (f"it has no commit {absent}", None),
        "abcdef": ("it has no commit abcdef", None),
    }

    for ref, (words, hint) in wrong.items():
        with pytest.raises(BuildFailed) as failure:
            await fetcher().fetch(url, ref=ref, token=None, into=folder, report=heard)
        assert (failure.value.message, failure.value.hint) == (f"cannot fetch {url}: {words}", hint)

    assert await fetcher().fetch(url, ref=commit[:9], token=None, into=folder, report=heard) == commit


async def test_empty_and_absent_repositories_are_said(server: GitServer, heard: Heard, folder: Path) -> None:
    server.make("empty")

    with pytest.raises(BuildFailed, match="the repository is empty"):
        await fetcher().fetch(server.address("empty"), ref="main", token=None, into=folder, report=heard)
    with pytest.raises(BuildFailed, match="there is no such repository, or it may not be seen"):
        await fetcher().fetch(server.address("absent"), ref=None, token=None, into=folder, report=heard)
    with pytest.raises(BuildFailed, match="nothing answers there"):
        await fetcher().fetch("http://127.0.0.1:9/app", ref=None, token=None, into=folder, report=heard)


async def test_default_branch_that_is_not_there_is_said_with_those_that_are(
    server: GitServer, heard: Heard, folder: Path
) -> None:
    server.publish("app", {"a.txt": "one"}, branch="trunk")

    with pytest.raises(BuildFailed, match="its default branch is not there") as failure:
        await fetcher().fetch(server.address("app"), ref=None, token=None, into=folder, report=heard)

    assert failure.value.hint == "it has trunk"


async def test_token_opens_a_private_repository(server: GitServer, heard: Heard, folder: Path) -> None:
    server.token = TOKEN
    commit = server.publish("app", {"a.txt": "one"})

    assert commit == await fetcher().fetch(
        server.address("app"), ref="main", token=TOKEN, into=folder, report=heard
    )

    assert files_of(folder) == {"a.txt": b"one"}
    assert TOKEN not in "".join(heard.lines)


@pytest.mark.parametrize(
    ("token", "words"), [(None, "the server asks who is there"), ("wrong", "the server refuses the token")]
)
async def test_wrong_or_missing_token_fails_at_once(
    server: GitServer, heard: Heard, folder: Path, token: str | None, words: str
) -> None:
    server.token = TOKEN
    server.publish("app", {"a.txt": "one"})

    with pytest.raises(BuildFailed, match=words):
        await fetcher().fetch(server.address("app"), ref="main", token=token, into=folder, report=heard)


async def test_token_is_in_no_command_line_and_on_no_disk_and_a_cancel_ends_git(
    server: GitServer, heard: Heard, folder: Path
) -> None:
    server.stalls = True
    work = str(folder.parent)

    async with asyncio.TaskGroup() as group:
        fetching = group.create_task(
            fetcher().fetch(server.address("app"), ref="main", token=TOKEN, into=folder, report=heard)
        )
        await until(server.stalled.is_set)
        running = processes_of(work)
        on_disk = [path for path in folder.parent.rglob("*") if path.is_file()]
        leaks = [path for path in on_disk if TOKEN.encode() in path.read_bytes()]
        fetching.cancel()

    assert len(running) >= 2, "git and its transport"
    assert not [command for command in running.values() if TOKEN.encode() in command]
    assert on_disk
    assert leaks == []
    assert processes_of(work) == {}
    assert list(folder.parent.iterdir()) == []


@pytest.mark.parametrize("asks_first", [False, True])
async def test_token_is_not_carried_to_another_server(
    server: GitServer, heard: Heard, folder: Path, tmp_path: Path, *, asks_first: bool
) -> None:
    server.token = TOKEN if asks_first else None
    server.publish("app", {"a.txt": "one"})
    with serving(tmp_path / "others") as other:
        other.token = TOKEN
        other.publish("app", {"a.txt": "stolen"})
        server.redirect_to = other.url

        with pytest.raises(BuildFailed, match="the server refuses the token"):
            await fetcher().fetch(server.address("app"), ref="main", token=TOKEN, into=folder, report=heard)

    assert other.seen
    assert {credentials for _, credentials in other.seen} == {""}


async def test_token_that_a_server_says_back_is_hidden(server: GitServer, heard: Heard, folder: Path) -> None:
    server.token, server.failure = TOKEN, f"out of order for {TOKEN}"

    with pytest.raises(BuildFailed) as failure:
        await fetcher().fetch(server.address("app"), ref=None, token=TOKEN, into=folder, report=heard)

    assert TOKEN not in failure.value.message


async def test_repository_that_has_moved_on_its_server_is_found(
    server: GitServer, heard: Heard, folder: Path
) -> None:
    server.token = TOKEN
    commit = server.publish("new", {"a.txt": "one"})
    server.moved["/old"] = "/new"

    found = await fetcher().fetch(server.address("old"), ref="main", token=TOKEN, into=folder, report=heard)

    assert found == commit


async def test_names_with_shell_characters_are_only_names(
    server: GitServer, heard: Heard, folder: Path, tmp_path: Path
) -> None:
    planted = tmp_path / "planted"
    name = f"-x;touch ${{IFS}}{planted.name}'\"`&|"
    branch = "$(touch${IFS}planted);'\"&|`id`"
    server.publish(name, {"a.txt": "one"}, branch=branch)
    url = f"{server.url}/-x;touch%20${{IFS}}{planted.name}'\"`&|"

    await fetcher().fetch(url, ref=branch, token=None, into=folder, report=heard)

    assert files_of(folder) == {"a.txt": b"one"}
    assert not planted.exists()
    assert not Path("planted").exists()


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc",
        "/etc",
        "ext::sh -c touch% planted",
        "ssh://git@example.com/app",
        "git@example.com:me/app.git",
        "--upload-pack=touch planted",
        "http://",
        "http://exa mple.com/app",
        "http://example.com/app\nx",
        "http://example.com:99999/app",
        "https://me:secret@example.com/app",
    ],
)
async def test_other_addresses_are_refused(heard: Heard, folder: Path, url: str) -> None:
    with pytest.raises(Invalid) as failure:
        await fetcher().fetch(url, ref=None, token=None, into=folder, report=heard)

    assert failure.value.field == "url"
    assert "secret" not in failure.value.message


@pytest.mark.parametrize(
    "ref", ["", "-b", "--upload-pack=x", "a b", "a..b", "a:b", "@{1}", "a\n", "*", "a~1"]
)
async def test_what_cannot_be_a_name_is_refused(heard: Heard, folder: Path, ref: str) -> None:
    with pytest.raises(Invalid) as failure:
        await fetcher().fetch("https://example.com/app", ref=ref, token=None, into=folder, report=heard)

    assert failure.value.field == "ref"


async def test_token_does_not_travel_unencrypted(heard: Heard, folder: Path) -> None:
    with pytest.raises(Invalid, match="unencrypted"):
        await fetcher().fetch("http://example.com/app", ref=None, token=TOKEN, into=folder, report=heard)


async def test_huge_repository_is_stopped(server: GitServer, heard: Heard, folder: Path) -> None:
    server.publish("app", {"a.bin": os.urandom(6 * 1024**2)})

    with pytest.raises(BuildFailed, match="it has more than 1048576 bytes"):
        await fetcher(size=1024**2).fetch(
            server.address("app"), ref=None, token=None, into=folder, report=heard
        )

    assert list(folder.parent.iterdir()) == []


async def test_small_repository_of_a_huge_tree_is_stopped(
    server: GitServer, heard: Heard, folder: Path
) -> None:
    server.publish("bomb", {f"{number}.bin": b"\0" * 1024**2 for number in range(4)})
    server.publish("crowd", {f"{number}.txt": "x" for number in range(101)})

    with pytest.raises(PaasError, match="more than 1048576 bytes"):
        await fetcher(size=1024**2).fetch(
            server.address("bomb"), ref=None, token=None, into=folder, report=heard
        )
    with pytest.raises(BadArchive, match="more than 100 members"):
        await fetcher().fetch(
            server.address("crowd"), ref=None, token=None, into=folder.with_name("other"), report=heard
        )


async def test_slow_server_is_stopped(server: GitServer, heard: Heard, folder: Path) -> None:
    server.stalls = True

    with pytest.raises(BuildFailed, match=r"not done after 0\.3 s"):
        await fetcher(secs=0.3).fetch(
            server.address("app"), ref="main", token=None, into=folder, report=heard
        )

    assert processes_of(str(folder.parent)) == {}


async def test_link_that_leaves_the_folder_is_refused(server: GitServer, heard: Heard, folder: Path) -> None:
    server.publish("app", {"a/b.txt": "one"}, links={"link": "a/../../outside"})

    with pytest.raises(BadArchive, match=r"its link .* leaves the folder"):
        await fetcher().fetch(server.address("app"), ref=None, token=None, into=folder, report=heard)


async def test_tree_with_a_folder_of_git_itself_is_refused(
    server: GitServer, heard: Heard, folder: Path
) -> None:
    server.publish("app", {"hooks/post-checkout": "#!/bin/sh\n"})
    inner = bytes.fromhex(server.git("app", "rev-parse", "main^{tree}"))
    outer = b"40000 .git\0" + inner
    server.commit_tree("app", server.git("app", *WRITE_TREE, typed=outer))

    with pytest.raises(BuildFailed, match=r"invalid path '\.git/"):
        await fetcher().fetch(server.address("app"), ref=None, token=None, into=folder, report=heard)

    assert not folder.exists()


async def test_neither_submodules_nor_filters_nor_attributes_have_their_turn(
    server: GitServer, heard: Heard, folder: Path, tmp_path: Path
) -> None:
    other = server.publish("other", {"b.txt": "two"})
    server.publish(
        "app",
        {
            ".gitattributes": "*.bin filter=lfs\n*.txt export-ignore\n*.id export-subst ident eol=crlf\n",
            ".gitmodules": SUBMODULE.format(url=server.address("other")),
            ".lfsconfig": f"[lfs]\n\turl = {server.url}/lfs\n",
            "large.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "kept.txt": "one",
            "plain.id": "$Id$ $Format:%H$\n",
        },
    )
    listed = server.git("app", "ls-tree", "main")
    server.commit("app", f"{listed}\n160000 commit {other}\tother")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[filter "lfs"]\n\tsmudge = touch {tmp_path}/smudged\n\trequired\n')

    with _environment(HOME=str(home), GIT_CONFIG_GLOBAL=str(home / ".gitconfig"), GIT_TRACE="1"):
        await fetcher().fetch(server.address("app"), ref=None, token=None, into=folder, report=heard)

    found = files_of(folder)
    assert found["kept.txt"] == b"one"
    assert found["plain.id"] == b"$Id$ $Format:%H$\n"
    assert found["large.bin"].startswith(b"version")
    assert list((folder / "other").iterdir()) == []
    assert not (tmp_path / "smudged").exists()
    assert not [path for path, _ in server.seen if "other" in path or "lfs" in path]


async def test_settings_of_the_machine_do_not_count(
    server: GitServer, heard: Heard, folder: Path, tmp_path: Path
) -> None:
    server.token = TOKEN
    server.publish("app", {"a.txt": "one"})
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login x-access-token password {TOKEN}\n")
    settings = tmp_path / "settings"
    settings.write_text(f'[url "{server.url}/elsewhere/"]\n\tinsteadOf = {server.url}/\n')

    with (
        _environment(HOME=str(tmp_path), GIT_CONFIG_GLOBAL=str(settings), GIT_CONFIG_SYSTEM=str(settings)),
        pytest.raises(BuildFailed, match="the server asks who is there"),
    ):
        await fetcher().fetch(server.address("app"), ref=None, token=None, into=folder, report=heard)

    assert all(path.startswith("/app/") for path, _ in server.seen)


def processes_of(folder: str) -> dict[int, bytes]:
    """Find the processes that were given something in a folder by their environment, and their commands."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.encode() in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_bytes()
    return found


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Change this process's environment for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
