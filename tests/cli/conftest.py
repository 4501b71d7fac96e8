"""The command as a process of its own, against a real agent; and a server whose timing is exact."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.harness import REPOSITORY, Agent, running

LIMIT_SECS = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass(slots=True)
class Command:
    """Runs `paas` for one API; ends with the test what it began."""

    api_url: str
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = REPOSITORY  # where it is run
    begun: list[subprocess.Popen[str]] = field(default_factory=list)

    def __call__(self, *arguments: str | Path) -> Result:
        """Run it to its end."""
        done = subprocess.run(
            _argv(arguments),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=self._environment(),
            cwd=self.folder,
            timeout=LIMIT_SECS,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str | Path) -> Result:
        """Run it, and expect that it succeeds."""
        result = self(*arguments)
        assert result.code == 0, result
        return result

    def begin(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start it and leave it running."""
        process = subprocess.Popen(
            _argv(arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
            env=self._environment(),
            cwd=self.folder,
        )
        self.begun.append(process)
        return process

    def on_terminal(
        self,
        *arguments: str | Path,
        typed: str = "",
        replies: Sequence[tuple[str, str]] = (),
        **environment: str,
    ) -> str:
        """Run it with a terminal for everything, type something, and return what the terminal shows.

        `replies` are typed one after the other, each once its question is shown.
        """
        own, others = os.openpty()
        process = subprocess.Popen(
            _argv(arguments),
            stdin=others,
            stdout=others,
            stderr=others,
            env={**self._environment(), "TERM": "xterm", **environment},
            cwd=self.folder,
        )
        os.close(others)
        os.write(own, typed.encode())
        timer = threading.Timer(LIMIT_SECS, process.kill)
        timer.start()
        shown = _read_terminal(own, replies)
        process.wait()
        timer.cancel()
        return shown

    def _environment(self) -> dict[str, str]:
        own = {
            name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "ZECTRE_API_URL")
        }
        ours = {"PAAS_API_URL": self.api_url, "PYTHONPATH": str(REPOSITORY)}
        return {**own, **ours, **self.environment}


def _argv(arguments: tuple[str | Path, ...]) -> list[str]:
    return [sys.executable, "-m", "paas", *map(str, arguments)]


def _read_terminal(descriptor: int, replies: Sequence[tuple[str, str]]) -> str:
    """Read a terminal until everybody else has closed it, and type the replies."""
    read, waiting = b"", list(replies)
    try:
        while chunk := os.read(descriptor, 65536):
            read += chunk
            if waiting and waiting[0][0].encode() in read:
                os.write(descriptor, waiting.pop(0)[1].encode())
    except OSError:  # how Linux says that the other side is closed
        pass
    finally:
        os.close(descriptor)
    return read.decode()


def until_line(process: subprocess.Popen[str], part: str) -> str:
    """Read the output of a running command up to the line with `part`."""
    assert process.stdout is not None
    with _limit(process):
        for line in process.stdout:
            if part in line:
                return line
    raise AssertionError(f"{part!r} never came: {process.communicate()}")


def interrupt(process: subprocess.Popen[str]) -> Result:
    """Press Ctrl-C, and wait for the end."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT_SECS)
    return Result(process.returncode, out, err)


@contextlib.contextmanager
def _limit(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a command that says nothing, so that reading from it ends."""
    timer = threading.Timer(LIMIT_SECS, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def commanding(api_url: str) -> Iterator[Command]:
    command = Command(api_url)
    try:
        yield command
    finally:
        for process in command.begun:
            process.kill()
            process.communicate()


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    async with running() as found:
        yield found


@pytest.fixture
def paas(agent: Agent) -> Iterator[Command]:
    with commanding(agent.api_url) as command:
        yield command


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Path]:
    """Write an executable Python program, from the lines that come before it serves."""

    def write(name: str = "hello.py", *lines: str) -> Path:
        path = tmp_path / name
        path.write_text("\n".join(["#!/usr/bin/env python3", SERVE, *lines, "serve()", ""]))
        path.chmod(0o755)
        return path

    return write


SERVE = """
import http.server, os, sys, time
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print("asked for", self.path, flush=True)
        body = os.environ.get("COLOUR", "none").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *ignored):
        pass
def serve():
    print("listening", flush=True)
    address = (os.environ["HOST"], int(os.environ["PORT"]))
    http.server.ThreadingHTTPServer(address, Answer).serve_forever()
"""


Script = Callable[[BaseHTTPRequestHandler], None]


@dataclass(slots=True)
class Scripted:
    """An API that does what a test wrote down, one function a request."""

    url: str
    script: list[Script]
    seen: list[tuple[str, Mapping[str, str]]]


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    script: list[Script] = []
    seen: list[tuple[str, Mapping[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            seen.append((f"{self.command} {self.path}", dict(self.headers)))
            script.pop(0)(self)
            self.close_connection = True

        do_GET = do_POST = _answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Scripted(f"http://127.0.0.1:{server.server_address[1]}", script, seen)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
