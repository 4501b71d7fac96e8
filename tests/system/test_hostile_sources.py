"""Sources that mean harm, sent to an agent that serves: each ends with a reason, and nothing stays."""

import asyncio
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness import Agent, Json, running
from tests.processes import processes_of
from tests.requirements import require, require_root
from tests.system.archives import archive
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = """
[builds]
timeout_secs = 6.0
context_bytes = 8_388_608
context_files = 2000
processes = 64
workspace_bytes = 67_108_864
"""
ENDED = ("succeeded", "failed", "cancelled")
FORK_BOMB = b"import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent() -> AsyncIterator[Agent]:
    require_root()
    require("bwrap")
    async with running(settings=SETTINGS) as agent:
        await agent.deploy("bystander", b"#!/bin/sh\nexec python3 -m http.server $PORT --bind $HOST\n")
        yield agent


def tar(*members: tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as packed:
        for member in members:
            packed.addfile(member, io.BytesIO(bytes(member.size)))
    return stream.getvalue()


def link(target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo("index.html")
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def many_files() -> bytes:
    """Pack 100,000 empty files; made by hand, since tarfile takes seconds for it."""
    header = bytearray(tarfile.TarInfo("0" * 6).tobuf())
    checksum = int(header[148:154], 8)
    packed = io.BytesIO()
    with gzip.open(packed, "wb", compresslevel=1) as stream:
        for number in range(100_000):
            header[:6] = b"%06d" % number
            header[148:154] = b"%06o" % (checksum + sum(header[:6]) - 6 * ord("0"))
            stream.write(header)
        stream.write(bytes(1024))
    return packed.getvalue()


def zip_bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("index.html", bytes(50_000_000))
    return stream.getvalue()


async def built(agent: Agent, source: bytes, **options: str) -> Json:
    """Build a source, and give the build once it has ended."""
    app = await agent.app("hostile")
    build = await agent.ask(
        "POST",
        "/api/v1/builds",
        params={"app_id": app["id"], **options},
        data=source,
        headers={"Content-Type": "application/octet-stream"},
        expect=HTTPStatus.ACCEPTED,
    )

    async def read() -> Json:
        return await agent.ask("GET", f"/api/v1/builds/{build['id']}")

    return await agent.until(read, lambda found: found["state"] in ENDED)


async def said(agent: Agent, build: Json) -> str:
    entries = await agent.ask("GET", f"/api/v1/builds/{build['id']}/logs")
    return "\n".join(entry["message"] for entry in entries)


def left_by(agent: Agent, build: Json) -> list[str]:
    """Name what a build has left: files but for its archive, and processes."""
    folder = agent.state / "builds" / str(build["id"])
    files = [str(path) for path in folder.glob("*") if path.name != build["source"]["sha256"]]
    inside = [str(pid) for pid in processes_of(agent.state) if str(build["id"]) in _command(pid)]
    return files + inside


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (zip_bomb, "more than 8388608 bytes"),
        (lambda: tar(tarfile.TarInfo("../index.html")), "climbs with"),
        (lambda: tar(tarfile.TarInfo("/etc/index.html")), "its name is absolute"),
        (lambda: tar(link("/etc/passwd")), "leaves the folder"),
        (lambda: tar(link("../../secrets.key")), "leaves the folder"),
        (many_files, "more than 2000 members"),
        (lambda: b"\x1f\x8b" + bytes(100), "cannot unpack the archive"),
    ],
    ids=["zip bomb", "climbing", "absolute", "link", "climbing link", "100,000 files", "no archive"],
)
async def test_an_archive_is_refused(agent: Agent, source: Callable[[], bytes], reason: str) -> None:
    build = await built(agent, await asyncio.to_thread(source))

    assert build["state"] == "failed"
    assert reason in build["reason"]
    await until(lambda: not left_by(agent, build))


async def test_a_build_that_forks_for_ever_takes_nothing_from_others(agent: Agent) -> None:
    building = asyncio.ensure_future(  # noqa: TID251 - the test is its parent
        built(agent, archive({"bomb.py": FORK_BOMB}), commands='["python3 bomb.py"]', start="./run")
    )
    answers = 0
    while not building.done():
        answer = await agent.get("bystander")
        assert answer.status == HTTPStatus.OK
        answers += 1
    build = await building

    assert answers > 5
    assert build["reason"] == "cannot build: not done after 6 s"
    await until(lambda: not left_by(agent, build))


async def test_a_build_reaches_neither_the_agents_files_nor_its_api(agent: Agent) -> None:
    program = "index.html"
    commands = [
        f"! cat {agent.state}/paas.db {agent.state}/config.toml; ! ls {agent.state}",
        f"curl -s {agent.api_url}/api/v1/apps || echo unanswered",
        f"echo page >{program}",
    ]

    build = await built(agent, archive({"file": b""}), commands=json.dumps(commands), start="./run")

    log = await said(agent, build)
    assert build["state"] == "succeeded", log
    assert "first_port" not in log
    assert "CALLER_IS_AN_APP" in log


async def test_a_folder_named_like_a_command_is_only_a_name(agent: Agent, tmp_path: Path) -> None:
    name = f"$(touch {tmp_path}/made); `id`".replace("/", "_")

    build = await built(agent, tar(tarfile.TarInfo(f"{name}/index.html")), path=name)

    assert (build["state"], build["recipe"]) == ("succeeded", "static"), build["reason"]
    assert list(tmp_path.iterdir()) == []


async def test_without_root_a_build_still_sees_its_own_folders_alone() -> None:
    require_root()  # to become somebody else
    require("bwrap")
    async with running(uid=65534) as agent:
        commands = [f"! ls {agent.state}; ! ls /home; (setsid sleep 1000 &); echo page >index.html"]

        build = await built(agent, archive({"file": b""}), commands=json.dumps(commands), start="./run")

        assert build["state"] == "succeeded", build["reason"]
        await until(lambda: not left_by(agent, build))
