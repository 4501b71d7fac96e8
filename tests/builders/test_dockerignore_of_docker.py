"""What .dockerignore leaves out is what Docker's own command leaves out."""

import io
import os
import socketserver
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from paas.builders.build_context import ignore_of, tar_of
from tests.contexts import fill
from tests.requirements import require

FILES = [
    "Dockerfile",
    *(f"{folder}{name}" for folder in ("", "a/", "a/b/", "b/a/", "x.d/") for name in ("a.txt", "c", "temp1")),
]
PART = st.sampled_from(
    ["a", "b", "c", "x.d", "a.txt", "*", "**", "*.txt", "temp?", "[a-b]", "[^a]", "t*1", "."]
)
PATTERN = st.lists(PART, min_size=1, max_size=3).map("/".join)
LITERAL = st.lists(st.sampled_from(["a", "b", "c", "a.txt", "temp1"]), min_size=1, max_size=3).map("/".join)
# An exception with a wildcard reaches into folders that are left out, as the newer builder's client
# does it; the older one that is asked here does not look into them.
LINE = st.one_of(PATTERN, PATTERN.map("/{}".format), LITERAL.map("!{}".format), st.just("# a"), st.just(" "))


@dataclass(slots=True)
class FalseEngine:
    """Takes what `docker build` sends, and builds nothing."""

    socket: Path
    sent: bytes = field(default=b"", repr=False)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(b"OK")

    def do_POST(self) -> None:
        content = bytearray()
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        cast(_Server, self.server).engine.sent = bytes(content)
        self._answer(b'{"stream":"done"}\n')

    def address_string(self) -> str:
        return "docker"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        pass

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Api-Version", "1.41")
        self.send_header("Ostype", "linux")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(socketserver.ThreadingUnixStreamServer):
    engine: FalseEngine


@contextmanager
def false_engine() -> Iterator[FalseEngine]:
    with tempfile.TemporaryDirectory(prefix="fe-") as folder:
        engine = FalseEngine(Path(folder, "docker.sock"))
        with _Server(str(engine.socket), _Handler) as server:
            server.engine = engine
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            yield engine
            server.shutdown()
            thread.join()


def sent_by_docker(engine: FalseEngine, folder: Path) -> set[str]:
    done = subprocess.run(
        [require("docker"), f"--host=unix://{engine.socket}", "build", str(folder)],
        env={**os.environ, "DOCKER_BUILDKIT": "0", "DOCKER_CONFIG": str(folder.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return files_of(engine.sent)


def files_of(content: bytes) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {entry.name for entry in tar if entry.isfile()}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ctx-") as around:
        yield fill(Path(around, "context"), dict.fromkeys(FILES, "FROM scratch\n"))


@pytest.fixture(scope="module")
def engine() -> Iterator[FalseEngine]:
    require("docker")
    with false_engine() as engine:
        yield engine


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of the engine, in a failure's report
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(lines=["*", "!a/b/c"])
@example(lines=["a", "!a/b", "a/b/c"])
@example(lines=["**/c", "!a/c"])
@example(lines=["a/b", "!a"])
@example(lines=["**"])
@example(lines=["a/**", "!a/b/temp1"])
@given(lines=st.lists(LINE, max_size=5))
def test_the_same_files_are_sent(engine: FalseEngine, folder: Path, lines: list[str]) -> None:
    (folder / ".dockerignore").write_text("\n".join(lines))

    ours = files_of(b"".join(tar_of(folder, ignore_of(folder, "Dockerfile"))))

    assert ours == sent_by_docker(engine, folder)
