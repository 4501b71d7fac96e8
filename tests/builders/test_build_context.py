"""A context from its archive to the tar that the engine gets."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from paas.builders.build_context import check_dockerfile, ignore_of, tar_of
from paas.builders.source_tree import unpack_source
from paas.builders.trees import UnpackLimits
from paas.core.dockerignore import Dockerignore
from paas.core.errors import BadArchive, BuildFailed
from tests.contexts import archive, fill

LIMITS = UnpackLimits(bytes=1_000_000, files=50)


def unpacked(tmp_path: Path, content: bytes, dockerfile: str = "Dockerfile") -> Path:
    (tmp_path / "archive").write_bytes(content)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    folder = unpack_source(tmp_path / "archive", workspace, LIMITS, wanted=dockerfile)
    check_dockerfile(folder, dockerfile)
    return folder


def names(folder: Path, ignore: Dockerignore) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(tar_of(folder, ignore)))) as tar:
        return tar.getnames()


def test_folder_around_everything_is_looked_through(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("project-main/Dockerfile", "FROM scratch\n")
        packed.writestr("project-main/src/a.py", "pass\n")

    folder = unpacked(tmp_path, stream.getvalue())

    assert names(folder, ignore_of(folder, "Dockerfile")) == ["Dockerfile", "src", "src/a.py"]


def test_single_folder_with_the_named_dockerfile_is_the_context_itself(tmp_path: Path) -> None:
    content = archive("FROM scratch\n", {"docker/web": "FROM scratch\n"})

    folder = unpacked(tmp_path, content, "docker/web")

    assert folder == tmp_path / "workspace"


def test_absent_dockerfile_is_told_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed) as caught:
        unpacked(tmp_path, archive("FROM scratch\n", {"main.py": ""}), "Containerfile")

    assert caught.value.message == "cannot build: there is no Containerfile in the context"
    assert caught.value.hint == "it holds Dockerfile, main.py"


@pytest.mark.parametrize("content", [b"", b"FROM scratch\n", b"\x1f\x8bbroken", os.urandom(600)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadArchive):
        unpacked(tmp_path, content)


@pytest.mark.parametrize("name", ["../Dockerfile", "/Dockerfile", "a/../../b"])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadArchive, match="climbs"):
        unpacked(tmp_path, archive("FROM scratch\n", {name: "x"}))

    assert {path.name for path in tmp_path.iterdir()} == {"archive", "workspace"}


def test_dockerfile_that_is_a_link_to_elsewhere_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        link = tarfile.TarInfo("Dockerfile")
        link.type, link.linkname = tarfile.SYMTYPE, "../../../../etc/passwd"
        tar.addfile(link)

    with pytest.raises(BadArchive, match="leaves the folder"):
        unpacked(tmp_path, stream.getvalue())


def test_too_much_once_unpacked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="more than 1000000 bytes"):
        unpacked(tmp_path, archive("FROM scratch\n", {"zeros": "0" * 1_000_001}))


def test_tar_holds_bytes_modes_and_links_as_they_are(tmp_path: Path) -> None:
    folder = fill(tmp_path, {"Dockerfile": "", "run.sh": "x" * 1000, "deep/" + "n" * 200: "long"})
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("run.sh")
    (folder / os.fsdecode(b"caf\xe9")).write_text("latin")

    content = b"".join(tar_of(folder, Dockerignore.parse("")))

    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert tar.getmember("run.sh").mode == 0o755
        assert tar.getmember("link").linkname == "run.sh"
        assert tar.getmember("deep").isdir()
        for name, text in (("run.sh", b"x" * 1000), (f"deep/{'n' * 200}", b"long")):
            file = tar.extractfile(name)
            assert file is not None
            assert file.read() == text
    assert len(content) % tarfile.BLOCKSIZE == 0


def test_ignored_is_left_out_and_the_dockerfile_never(tmp_path: Path) -> None:
    folder = fill(
        tmp_path,
        {
            ".dockerignore": "*\n!src\nsrc/*.log\n!node_modules/keep/**\n",
            "Dockerfile": "",
            "src/a.py": "",
            "src/a.log": "",
            "node_modules/drop/a": "",
            "node_modules/keep/a": "",
            ".git/config": "",
        },
    )

    kept = names(folder, ignore_of(folder, "Dockerfile"))

    assert kept == [".dockerignore", "Dockerfile", "node_modules/keep/a", "src", "src/a.py"]


def test_ignore_file_of_the_dockerfile_itself_comes_first(tmp_path: Path) -> None:
    folder = fill(tmp_path, {".dockerignore": "a", "web.dockerignore": "b", "web": "", "a": "", "b": ""})

    assert names(folder, ignore_of(folder, "web")) == [".dockerignore", "a", "web", "web.dockerignore"]


def test_ignore_file_with_a_bad_pattern_fails_the_build_with_its_line(tmp_path: Path) -> None:
    folder = fill(tmp_path, {".dockerignore": "ok\n[bad\n"})

    with pytest.raises(BuildFailed, match=r"\.dockerignore: line 2, \[bad"):
        ignore_of(folder, "Dockerfile")
