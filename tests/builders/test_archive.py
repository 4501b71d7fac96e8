"""What may become a program, and what hostile archives must not do."""

import asyncio
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from paas.builders.archive import ArchiveBuilder, safe_name
from paas.builders.trees import UnpackLimits
from paas.core.command_lines import shell_line
from paas.core.errors import BadArchive
from paas.core.ids import ArtifactId
from paas.core.model import Artifact
from tests.core.records import DEPLOYMENT

SCRIPT = b"#!/bin/sh\necho hello\n"
SHA = "ab" * 32


class Bench:
    """A builder over a temporary folder, and a way to give it bytes."""

    def __init__(self, root: Path) -> None:
        self.programs = root / "programs"
        self.source = root / "artifact"
        self.builder = ArchiveBuilder(
            self.programs, lambda _sha256: self.source, UnpackLimits(bytes=1_000_000, files=50)
        )

    async def build(self, content: bytes, name: str = "thing.tar.gz") -> tuple[str, ...]:
        if not self.source.exists() or self.source.read_bytes() != content:
            self.source.write_bytes(content)  # an artifact never changes while it is read
        artifact = Artifact(
            id=ArtifactId("a"),
            name=name,
            content_type="application/octet-stream",
            size_bytes=len(content),
            sha256=SHA,
            created_at=0,
            uploaded_at=0,
        )
        return (await self.builder.build(DEPLOYMENT, artifact)).command

    async def refuses(self, content: bytes, cause: str) -> None:
        with pytest.raises(BadArchive, match=cause):
            await self.build(content)
        assert not self.programs.exists() or list(self.programs.iterdir()) == []

    @property
    def folder(self) -> Path:
        return self.programs / SHA


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"", mode: int = 0o644) -> Member:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = mode
    return member, content


def special(name: str, kind: bytes, link: str = "", mode: int = 0o644) -> Member:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = link
    member.mode = mode
    return member, b""


def tar(*members: Member, packing: Literal["w:gz", "w:"] = "w:gz") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=packing) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def zipped(*members: tuple[str, bytes, int], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", kind) as archive:
        for name, content, mode in members:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            member.compress_type = kind
            archive.writestr(member, content)
    return packed.getvalue()


PROGRAM = file("run", SCRIPT, 0o755)


@pytest.mark.parametrize("content", [SCRIPT, b"\x7fELF" + bytes(100)])
async def test_a_program_is_its_own_command(bench: Bench, content: bytes) -> None:
    command = await bench.build(content, name="../../etc/my server;rm")

    assert command == ("./my-server-rm",)
    assert (bench.folder / command[0]).read_bytes() == content
    assert stat.S_IMODE((bench.folder / command[0]).stat().st_mode) == 0o755


@pytest.mark.parametrize("packing", ["w:gz", "w:"])
async def test_a_tar_with_a_procfile(bench: Bench, packing: Literal["w:gz", "w:"]) -> None:
    members = [
        file("./Procfile", b"worker: ./work\nweb: python3 -m http.server $PORT\n"),
        file("a/b/index.html", b"hi"),
    ]

    command = await bench.build(tar(*members, packing=packing))

    assert command == ("/bin/sh", "-c", "exec python3 -m http.server $PORT")
    assert (bench.folder / "a/b/index.html").read_bytes() == b"hi"
    assert stat.S_IMODE((bench.folder / "a/b/index.html").stat().st_mode) == 0o644
    assert stat.S_IMODE(bench.folder.stat().st_mode) == 0o755


async def test_a_zip_with_one_executable(bench: Bench) -> None:
    content = zipped(("run", SCRIPT, 0o100755), ("lib/other", b"x", 0o100755), ("README", b"x", 0o100644))

    assert await bench.build(content) == ("./run",)


async def test_a_zip_without_modes_is_judged_by_content(bench: Bench) -> None:
    assert await bench.build(zipped(("run", SCRIPT, 0), ("page.html", b"<p>", 0))) == ("./run",)
    assert stat.S_IMODE((bench.folder / "run").stat().st_mode) == 0o755


async def test_a_single_folder_around_everything_is_looked_through(bench: Bench) -> None:
    content = tar(
        special("app", tarfile.DIRTYPE, mode=0o700),
        file("app/Procfile", b"web: ./run\n"),
        file("app/run", SCRIPT, 0o755),
    )

    assert await bench.build(content) == ("/bin/sh", "-c", "exec ./run")
    assert (bench.folder / "Procfile").is_file()


async def test_links_that_stay_inside_are_kept(bench: Bench) -> None:
    content = tar(
        file("lib/one", b"1"),
        special("lib/two", tarfile.SYMTYPE, "../lib/one"),
        special("three", tarfile.LNKTYPE, "lib/one"),
        PROGRAM,
    )

    await bench.build(content)

    assert (bench.folder / "lib/two").read_bytes() == b"1"
    assert (bench.folder / "three").read_bytes() == b"1"


async def test_building_twice_and_at_once_gives_the_same(bench: Bench) -> None:
    async with asyncio.TaskGroup() as group:
        builds = [group.create_task(bench.build(tar(PROGRAM))) for _ in range(5)]

    assert {build.result() for build in builds} == {("./run",)}
    assert await bench.build(tar(PROGRAM)) == ("./run",)
    assert [path.name for path in bench.programs.iterdir()] == [SHA]


OUTSIDE = "leaves the folder"
HOSTILE_TARS: dict[str, tuple[list[Member], str]] = {
    "absolute path": ([PROGRAM, file("/etc/evil", b"x")], "'/etc/evil'.*absolute"),
    "climbing path": ([PROGRAM, file("a/../../evil", b"x")], "'a/../../evil'.*climbs"),
    "absolute link": ([PROGRAM, special("out", tarfile.SYMTYPE, "/etc/passwd")], OUTSIDE),
    "climbing link": ([PROGRAM, special("a/out", tarfile.SYMTYPE, "../../x")], OUTSIDE),
    "file through a link": (
        [special("a", tarfile.SYMTYPE, "."), file("a/evil", b"x"), PROGRAM],
        "'a/evil'.*stands in its path",
    ),
    "two links that leave together": (
        [
            file("d/e/keep"),
            special("d/e/up", tarfile.SYMTYPE, "../.."),
            special("out", tarfile.SYMTYPE, "d/e/up/x/../.."),
            special("x", tarfile.DIRTYPE, mode=0o755),
            PROGRAM,
        ],
        "'out'.*" + OUTSIDE,
    ),
    "link to the folder that is looked through": (
        [special("app/out", tarfile.SYMTYPE, ".."), file("app/run", SCRIPT, 0o755)],
        "'out'.*" + OUTSIDE,
    ),
    "hard link outside": ([special("out", tarfile.LNKTYPE, "/etc/passwd"), PROGRAM], "leads to nothing"),
    "hard link climbing": ([special("out", tarfile.LNKTYPE, "../x"), PROGRAM], "leads to nothing"),
    "hard link to a link": (
        [file("x"), special("a", tarfile.SYMTYPE, "x"), special("b", tarfile.LNKTYPE, "a"), PROGRAM],
        "'b'.*does not lead to a file",
    ),
    "character device": ([special("null", tarfile.CHRTYPE), PROGRAM], "'null'.*device"),
    "block device": ([special("disk", tarfile.BLKTYPE), PROGRAM], "'disk'.*device"),
    "pipe": ([special("pipe", tarfile.FIFOTYPE), PROGRAM], "'pipe'.*device"),
    "set-uid": ([file("run", SCRIPT, 0o4755)], "'run'.*set-uid"),
    "set-gid": ([file("run", SCRIPT, 0o2755)], "'run'.*set-gid"),
    "doubled name": ([PROGRAM, file("./run", b"other")], "comes twice"),
    "file over a folder": ([file("a/b"), file("a"), PROGRAM], "cannot unpack 'a'"),
    "folder over a file": ([file("a"), file("a/b"), PROGRAM], "'a/b'.*stands in its path"),
    "too many members": ([PROGRAM, *(file(str(number)) for number in range(50))], "more than 50 members"),
    "too many folders": (
        [PROGRAM, file("/".join("abcdefghijklmnop" * 3), b"x"), file("z" + "/z" * 20)],
        "more than 50 members",
    ),
    "too deep": ([PROGRAM, file("a/" * 200 + "b")], "too long"),
    "too long a name": ([PROGRAM, file("n" * 300)], "too long"),
    "too many bytes": ([PROGRAM, file("big", bytes(1_000_001))], "'big'.*more than 1000000 bytes"),
    "no command": ([file("README", b"x")], "neither a Procfile nor an executable"),
    "two programs": ([PROGRAM, file("other", SCRIPT, 0o755)], "more than one executable.*other"),
    "procfile without web": ([file("Procfile", b"worker: x\n")], "no `web:` line"),
    "nothing at all": ([], "neither a Procfile"),
}


@pytest.mark.parametrize("case", HOSTILE_TARS)
async def test_a_bad_tar_is_refused_and_leaves_nothing(bench: Bench, case: str) -> None:
    members, cause = HOSTILE_TARS[case]

    await bench.refuses(tar(*members), cause)


async def test_a_sparse_member_is_refused(bench: Bench) -> None:
    member, _ = file("huge")
    member.type = tarfile.GNUTYPE_SPARSE

    await bench.refuses(tar((member, b""), PROGRAM), "'huge'.*sparse")


async def test_a_header_that_becomes_huge_is_refused(bench: Bench) -> None:
    member, _ = file("run")
    member.pax_headers = {"comment": "x" * 20_000_000}

    await bench.refuses(tar((member, b"")), "too large")


async def test_an_endless_row_of_headers_is_refused(bench: Bench) -> None:
    head, _ = file("run")
    head.pax_headers = {"comment": "x" * 5_000_000}

    await bench.refuses(tar(*[(head, b"")] * 3), "larger than allowed|comes twice")


def truncated(content: bytes) -> list[bytes]:
    return [content[: len(content) * part // 10] for part in range(1, 10)]


BIG = file("big", os.urandom(50_000))


@pytest.mark.parametrize(
    "make",
    [lambda: tar(BIG, PROGRAM), lambda: zipped(("run", os.urandom(5000), 0o100755))],
    ids=["tar", "zip"],
)
async def test_a_truncated_archive_is_refused(bench: Bench, make: Callable[[], bytes]) -> None:
    for content in truncated(make()):
        await bench.refuses(content, "cannot (unpack|build)")


async def test_a_tar_cut_in_a_member_is_refused(bench: Bench) -> None:
    await bench.refuses(tar(BIG, packing="w:")[:20_000], "'big'.*damaged|cut short")


async def test_a_gzip_whose_check_sum_is_wrong_is_refused(bench: Bench) -> None:
    content = bytearray(tar(PROGRAM))
    content[-6] ^= 0xFF

    await bench.refuses(bytes(content), "damaged|CRC")


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"hello", b"PK\x03\x04", bytes(10_000)])
async def test_what_is_no_archive_is_refused(bench: Bench, content: bytes) -> None:
    await bench.refuses(content, "cannot (unpack|build)")


def with_zip_flags(content: bytes, flags: int) -> bytes:
    """Set the general purpose flags of the only member, in both of its headers."""
    changed = bytearray(content)
    struct.pack_into("<H", changed, 6, flags)
    struct.pack_into("<H", changed, content.index(b"PK\x01\x02") + 8, flags)
    return bytes(changed)


HOSTILE_ZIPS: dict[str, tuple[bytes, str]] = {
    "absolute path": (zipped(("/etc/evil", b"x", 0o100644)), "absolute"),
    "climbing path": (zipped(("../evil", b"x", 0o100644)), "climbs"),
    "link outside": (zipped(("out", b"../../etc", 0o120777)), OUTSIDE),
    "through a link": (zipped(("a", b".", 0o120777), ("a/x", b"x", 0o100644)), "stands in its path"),
    "pipe": (zipped(("p", b"", 0o010644)), "'p'.*special file"),
    "set-uid": (zipped(("run", SCRIPT, 0o104755)), "set-uid"),
    "bomb": (zipped(("big", bytes(5_000_000), 0o100644)), "more than 1000000 bytes"),
    "many": (zipped(*[(str(number), b"", 0o100644) for number in range(51)]), "more than 50 members"),
    "encrypted": (with_zip_flags(zipped(("run", SCRIPT, 0o100755)), 1), "'run'.*encrypted"),
    "unusual packing": (zipped(("run", SCRIPT, 0o100755), kind=zipfile.ZIP_LZMA), "unusual method"),
}


@pytest.mark.parametrize("case", HOSTILE_ZIPS)
async def test_a_bad_zip_is_refused_and_leaves_nothing(bench: Bench, case: str) -> None:
    content, cause = HOSTILE_ZIPS[case]

    await bench.refuses(content, cause)


async def test_a_zip_that_lies_about_its_size_is_refused(bench: Bench) -> None:
    content = bytearray(zipped(("big", bytes(5_000_000), 0o100644)))
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, 10)

    await bench.refuses(bytes(content), "cannot unpack")


async def test_the_sweep_deletes_half_unpacked_programs(bench: Bench) -> None:
    (bench.programs / ".unpack-x" / "a").mkdir(parents=True)
    await bench.build(tar(PROGRAM))

    await bench.builder.sweep_temporary()

    assert [path.name for path in bench.programs.iterdir()] == [SHA]


async def test_a_fresh_program_is_kept_though_nobody_names_it(bench: Bench) -> None:
    await bench.build(tar(PROGRAM))

    await bench.builder.keep_only([])

    assert [path.name for path in bench.programs.iterdir()] == [SHA]


async def test_deleting_may_be_repeated(bench: Bench) -> None:
    await bench.build(tar(PROGRAM))

    await bench.builder.delete(SHA)
    await bench.builder.delete(SHA)

    assert list(bench.programs.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("./server --port $PORT", "exec ./server --port $PORT"),
        ("cd app && ./server", "cd app && ./server"),
        ("A=1 ./server", "A=1 ./server"),
        ("exec ./server", "exec ./server"),
        ("./a | ./b", "./a | ./b"),
        ("./server; true", "./server; true"),
    ],
)
def test_only_a_plain_command_replaces_its_shell(line: str, expected: str) -> None:
    assert shell_line(line) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hello", "hello"),
        ("../..", "program"),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("a b$c", "a-b-c"),
        ("", "program"),
    ],
)
def test_a_safe_name_needs_no_quotes(name: str, expected: str) -> None:
    assert safe_name(name) == expected
