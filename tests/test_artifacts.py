"""Uploads: kept once, whole, or not at all."""

import asyncio
import hashlib
import os
import stat
import subprocess
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paas.artifacts import ArtifactFiles
from paas.core.errors import BadRequest, TooLarge, Unavailable

LIMIT = 8 * 1024 * 1024


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.fixture
def files(tmp_path: Path) -> ArtifactFiles:
    return ArtifactFiles(tmp_path / "artifacts", LIMIT)


async def run(*command: str | Path) -> None:
    await asyncio.to_thread(lambda: subprocess.run(command, check=True))


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "artifacts").glob("*"))


async def test_an_upload_is_kept_under_its_sha256(files: ArtifactFiles) -> None:
    content = os.urandom(3_000_000)

    sha256, size = await files.receive(
        stream(*(content[at : at + 7001] for at in range(0, len(content), 7001)))
    )

    assert (sha256, size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert files.path(sha256).read_bytes() == content
    assert stat.S_IMODE(files.path(sha256).stat().st_mode) == 0o640


async def test_the_same_content_twice_is_one_file(files: ArtifactFiles, tmp_path: Path) -> None:
    first = await files.receive(stream(b"same"))
    second = await files.receive(stream(b"sa", b"me"), expected_bytes=4)

    assert first == second
    assert names(tmp_path) == [first[0]]


async def test_an_empty_upload_has_a_name_too(files: ArtifactFiles) -> None:
    sha256, size = await files.receive(stream())

    assert (sha256, size) == (hashlib.sha256().hexdigest(), 0)
    assert files.path(sha256).read_bytes() == b""


async def test_more_than_the_limit_is_refused_and_leaves_nothing(
    files: ArtifactFiles, tmp_path: Path
) -> None:
    with pytest.raises(TooLarge, match=str(LIMIT)):
        await files.receive(stream(*[bytes(1024 * 1024)] * 8, b"x"))

    assert names(tmp_path) == []


async def test_an_announced_size_over_the_limit_is_refused_before_reading(files: ArtifactFiles) -> None:
    read = []

    async def watched() -> AsyncIterator[bytes]:
        read.append(True)
        yield b"x"

    with pytest.raises(TooLarge):
        await files.receive(watched(), expected_bytes=LIMIT + 1)

    assert not read


@pytest.mark.parametrize("expected", [1, 6])
async def test_a_body_of_another_size_than_announced_leaves_nothing(
    files: ArtifactFiles, tmp_path: Path, expected: int
) -> None:
    with pytest.raises(BadRequest, match="5 bytes came"):
        await files.receive(stream(b"12345"), expected_bytes=expected)

    assert names(tmp_path) == []


async def test_a_broken_stream_leaves_nothing_and_its_error_passes(
    files: ArtifactFiles, tmp_path: Path
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(2_000_000)
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        await files.receive(broken())

    assert names(tmp_path) == []


async def test_a_cancelled_upload_leaves_nothing(files: ArtifactFiles, tmp_path: Path) -> None:
    reached = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield bytes(2_000_000)
        reached.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        upload = group.create_task(files.receive(stuck()))
        await reached.wait()
        upload.cancel()

    assert names(tmp_path) == []


async def test_a_folder_that_cannot_be_written_is_said() -> None:
    files = ArtifactFiles(Path("/dev/null/artifacts"), LIMIT)

    with pytest.raises(Unavailable, match="cannot keep the upload: Not a directory"):
        await files.receive(stream(b"x"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
async def test_a_full_disk_is_said_and_leaves_nothing(files: ArtifactFiles, tmp_path: Path) -> None:
    small = tmp_path / "artifacts"
    small.mkdir()
    await run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small)
    try:
        with pytest.raises(Unavailable, match="the disk is full") as caught:
            await files.receive(stream(bytes(3_000_000)))

        assert names(tmp_path) == []
    finally:
        await run("umount", small)
    assert caught.value.code == "DISK_FULL"


async def test_many_uploads_at_once_do_not_mix(files: ArtifactFiles) -> None:
    contents = [bytes([number]) * 1_500_000 for number in range(10)]

    async with asyncio.TaskGroup() as group:
        uploads = [
            group.create_task(files.receive(stream(content[:700_000], content[700_000:])))
            for content in contents
        ]

    for content, upload in zip(contents, uploads, strict=True):
        assert upload.result() == (hashlib.sha256(content).hexdigest(), len(content))


async def test_memory_stays_flat(tmp_path: Path) -> None:
    files = ArtifactFiles(tmp_path, 1 << 30)
    piece = bytes(65536)
    tracemalloc.start()

    await files.receive(stream(*[piece] * 1600))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


async def test_delete_may_be_repeated(files: ArtifactFiles, tmp_path: Path) -> None:
    sha256, _ = await files.receive(stream(b"x"))

    await files.delete(sha256)
    await files.delete(sha256)

    assert names(tmp_path) == []


async def test_the_sweep_deletes_what_a_killed_agent_left(files: ArtifactFiles, tmp_path: Path) -> None:
    sha256, _ = await files.receive(stream(b"x"))
    (tmp_path / "artifacts" / ".upload-0123").write_bytes(b"half")

    await files.sweep_temporary()

    assert names(tmp_path) == [sha256]


@pytest.mark.parametrize("name", ["", "../etc/passwd", "a" * 63, "A" * 64, "/" * 64])
def test_only_a_sha256_has_a_path(files: ArtifactFiles, name: str) -> None:
    with pytest.raises(ValueError, match="not a SHA-256"):
        files.path(name)


async def test_contents_without_an_owner_go_but_young_ones_stay(files: ArtifactFiles) -> None:
    owned, old, young = [
        (await files.receive(stream(content)))[0] for content in (b"owned", b"old", b"young")
    ]
    for sha256 in (owned, old):
        os.utime(files.path(sha256), (0, 0))

    await files.keep_only([owned])

    assert [await files.has(sha256) for sha256 in (owned, old, young)] == [True, False, True]
