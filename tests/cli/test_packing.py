"""What a path becomes: a name, and the same bytes for the same folder."""

import os
import shutil
import socket
import tarfile
from pathlib import Path

import pytest

from paas.cli.packing import app_name, packed, packed_context
from paas.cli.problems import Problem
from tests.contexts import fill


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("hello", "hello"),
        ("hello.py", "hello"),
        ("caddy-2.7", "caddy-2-7"),
        ("My App.tar.gz", "my-app"),
        ("site.ZIP", "site"),
        ("_weird__name_", "weird-name"),
        ("x" * 60, "x" * 40),
    ],
)
def test_app_is_named_after_its_file(tmp_path: Path, file: str, name: str) -> None:
    path = tmp_path / file
    path.touch()

    assert app_name(path) == name


def test_folder_keeps_its_whole_name(tmp_path: Path) -> None:
    folder = tmp_path / "my.app"
    folder.mkdir()

    assert app_name(folder) == "my-app"


def test_path_without_a_name_wants_one() -> None:
    with pytest.raises(Problem, match="cannot make a name"):
        app_name(Path("/"))


def test_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / "one" / name).mkdir(parents=True)
        (tmp_path / "one" / name / "file").write_text(name)
    shutil.copytree(tmp_path / "one", tmp_path / "two")

    with packed(tmp_path / "one") as one, packed(tmp_path / "two") as two:
        assert one.file.read() == two.file.read()


def test_folder_is_packed_with_modes_and_links_but_without_owners(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "run").write_text("x")
    (folder / "run").chmod(0o750)
    (folder / "link").symlink_to("run")

    with packed(folder) as package, tarfile.open(fileobj=package.file) as archive:
        link, run = archive.getmembers()

    assert package.name == "app.tar.gz"
    assert (link.name, link.linkname, run.name, run.mode) == ("link", "run", "run", 0o750)
    assert (run.uid, run.gid, run.uname) == (0, 0, "")


def test_pipes_and_sockets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "p")
    (tmp_path / "socket").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket" / "s"))

    for name in ("pipe", "socket"):
        with pytest.raises(Problem, match=f"it is a .*{name}"), packed(tmp_path / name):
            pass


def test_context_is_packed_without_what_dockerignore_leaves_out(tmp_path: Path) -> None:
    files = {".dockerignore": "node_modules\nDockerfile\n", "Dockerfile": "", "node_modules/a": "", "b": ""}
    folder = fill(tmp_path / "site", files)

    with packed_context(folder, "Dockerfile") as package, tarfile.open(fileobj=package.file) as tar:
        names = tar.getnames()

    assert names == [".dockerignore", "Dockerfile", "b"]


def test_context_with_a_bad_pattern_is_refused_with_its_line(tmp_path: Path) -> None:
    folder = fill(tmp_path / "site", {".dockerignore": "fine\n[bad\n", "Dockerfile": ""})

    with pytest.raises(Problem, match="line 2"), packed_context(folder, "Dockerfile"):
        pass
