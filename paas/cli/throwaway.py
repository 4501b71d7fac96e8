"""An agent of one's own that keeps nothing: started in a temporary folder, and ended with all its apps."""

import contextlib
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import paas
from paas.cli import apps, watching
from paas.cli.client import Client, decode
from paas.cli.problems import Problem
from paas.cli.views import AppPage, TaskPage

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
API_PORT, PROXY_PORT = 47080, 47000
STOP_SECONDS = 15.0  # over the grace of an app that takes its time
END_SECONDS = 10.0
LOOK_SECONDS = 0.02
LOG_LINES = 15


@contextlib.contextmanager
def throwaway_agent() -> Iterator[str]:
    """Run an agent on loopback, on the usual ports if they are free, and give its API's URL.

    However this is left, its apps, the agent and its folder are gone; signals that end a program are
    blocked from then on. Raises Problem if it does not start.
    """
    # What is made must be known before a signal can end this, or nobody would take it away.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    folder = Path(tempfile.mkdtemp(prefix="paas-try-"))
    api_url: str | None = None
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
        folder.chmod(0o711)  # apps may run as another user, who has to get to their programs
        api_url = _start(folder)
        yield api_url
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
        if api_url is not None:
            with contextlib.suppress(Problem):
                _stop_apps(Client(api_url))
        _end_all_in(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path) -> str:
    try:
        return _start_at(folder, _usual_or_free(API_PORT), _usual_or_free(PROXY_PORT))
    except Problem:  # somebody may have taken a port since we looked; else this fails the same way
        return _start_at(folder, 0, 0)


def _start_at(folder: Path, api_port: int, proxy_port: int) -> str:
    log = folder / "agent.log"
    reader, writer = os.pipe()
    command = [
        *(sys.executable, "-P", "-m", "paas", "serve", "--state", str(folder / "state")),
        *("--api", f"127.0.0.1:{api_port}"),
        *("--proxy", f"127.0.0.1:{proxy_port}"),
    ]
    try:
        os.posix_spawn(
            sys.executable,
            command,
            # The same code as ours, wherever it was started from.
            os.environ | {"PYTHONPATH": str(Path(paas.__file__).parents[1])},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, writer, 1),
                (os.POSIX_SPAWN_OPEN, 2, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            ],
            setsigdef=ENDING_SIGNALS,
            setsid=True,  # Ctrl-C is for us: the agent has to stop the apps first
        )
    finally:
        os.close(writer)
    with os.fdopen(reader) as output:
        urls = dict(line.split(maxsplit=1) for line in (output.readline(), output.readline()) if line.strip())
    if set(urls) != {"api", "proxy"}:
        tail = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        raise Problem("\n".join(["the agent did not start:", *tail]))
    return urls["api"].strip()


def _stop_apps(client: Client) -> None:
    """Delete all apps and wait until their tasks have ended."""
    for page in list(apps.all_apps(client)):
        for app in decode(page, AppPage).data:
            client.call("DELETE", f"/api/v1/apps/{app.id}")
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        tasks = decode(client.get("/api/v1/tasks", {"page_size": 100}), TaskPage).data
        if not any(task.state in watching.LIVE_TASK_STATES for task in tasks):
            return
        time.sleep(LOOK_SECONDS)


def _end_all_in(folder: Path) -> None:
    """End every process that belongs to the folder: the agent first, then what it may have left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        waiting = [pidfd for pid in _processes_of(folder) if (pidfd := _signalled(pid, number)) is not None]
        deadline = time.monotonic() + END_SECONDS
        while waiting and (left := deadline - time.monotonic()) > 0:
            ended, _, _ = select.select(waiting, [], [], left)
            for pidfd in ended:
                waiting.remove(pidfd)
                os.close(pidfd)
        for pidfd in waiting:
            os.close(pidfd)


def _signalled(pid: int, number: int) -> int | None:
    """Send a signal; the answer is readable when that process has ended. None: it has already."""
    try:
        pidfd = os.pidfd_open(pid)
        signal.pidfd_send_signal(pidfd, number)
    except OSError:
        return None
    return pidfd


def _processes_of(folder: Path) -> list[int]:
    """Find processes that were started with the folder's name, or work in it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            named = os.fsencode(f"{folder}/") in (entry / "cmdline").read_bytes()
            if named or (entry / "cwd").readlink().is_relative_to(folder):
                found.append(int(entry.name))
    return found


def _usual_or_free(port: int) -> int:
    """Answer the port if nobody listens there, else 0, which lets the agent choose."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port
