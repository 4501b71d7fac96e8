"""A real Docker engine for tests: the machine's own, else one of the run's; and images made from scratch."""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.requirements import leave_out, require

RUN = "PAAS_TEST_ENGINE"  # the folder that the workers of one run share
START_SECS = 60.0
START_TRIES = 3
HANGING_SECS = 10.0
BOX = "paas-test/box:1"

_started: list[subprocess.Popen[bytes]] = []  # kept: Python complains of children that it loses sight of


def engine_socket() -> Path:
    """Find an engine that answers, or start one for this run; else leave the calling test out."""
    named = os.environ.get("DOCKER_HOST", "")
    for path in (Path(named.removeprefix("unix://")) if named else None, Path("/var/run/docker.sock")):
        if path is not None and answers(path):
            return path
    if os.geteuid() != 0:
        leave_out("needs a Docker engine, or root to start one")
    folder = Path(os.environ[RUN])
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = folder / "docker.sock"
        if not answers(path):
            start_engine(folder)
        return path


def start_engine(folder: Path, *options: str) -> None:
    """Start an engine that keeps everything below `folder`, and wait until it answers."""
    (folder / "config.json").write_text("{}")  # not the one of the machine
    # Engines that start at the same time get into each other's way at the default bridge.
    with Path(tempfile.gettempdir(), "paas-test-engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for _ in range(START_TRIES):
            if _starts(folder, options):
                return
    last = (folder / "log").read_text(errors="replace").splitlines()[-1:]
    leave_out(f"needs a Docker engine, and dockerd does not start here: {last}")


def _starts(folder: Path, options: Sequence[str]) -> bool:
    program = require("dockerd")
    with (folder / "log").open("ab") as log:
        daemon = subprocess.Popen(
            [
                program,
                f"--config-file={folder}/config.json",
                f"--data-root={folder}/data",
                f"--exec-root={folder}/exec",
                f"--pidfile={folder}/pid",
                f"--host=unix://{folder}/docker.sock",
                # The firewall is one for all engines of a machine, and each makes its chains anew when it
                # starts. Containers are reached without.
                "--iptables=false",
                *(f"--default-address-pool=base={base},size=24" for base in _addresses(folder)),
                *options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _started.append(daemon)
    deadline = time.monotonic() + START_SECS
    while not answers(folder / "docker.sock"):
        if daemon.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _addresses(folder: Path) -> tuple[str, ...]:
    """Choose what an engine makes its networks of.

    Engines that make one in the same moment do not see each other's yet, and would take the same addresses
    from the pools that all of them have. Of two a route of the machine covers one at most.
    """
    number = zlib.crc32(bytes(folder)) % 256
    return tuple(f"10.{base + number // 4}.{number % 4 * 64}.0/18" for base in (0, 64))


def stop_engine(folder: Path) -> None:
    """End an engine that was started for this run, with all that it keeps."""
    try:
        pid = int((folder / "pid").read_text())
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + START_SECS
        while (folder / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    except (FileNotFoundError, ProcessLookupError):
        pass
    _unmount(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _unmount(folder: Path) -> None:
    """Take away what a killed engine left mounted: its own data, containers, networks."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", mount], check=False, stderr=subprocess.DEVNULL)


def kill_engine(folder: Path) -> None:
    """End an engine that this process started as a crash would."""
    pid = int((folder / "pid").read_text())
    (daemon,) = (daemon for daemon in _started if daemon.pid == pid)
    daemon.kill()
    daemon.wait()
    # Its containerd goes with it; an init that is slow to reap it makes the next engine wait for it.
    (folder / "exec/containerd/containerd.pid").unlink()


def hang_engine(folder: Path) -> None:
    """Stop an engine in the middle of what it does. On return none of its threads can answer any more."""
    pid = int((folder / "pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + HANGING_SECS
    while not all(_is_stopped(thread) for thread in Path(f"/proc/{pid}/task").iterdir()):
        if time.monotonic() > deadline:
            raise TimeoutError("the Docker engine does not stop")
        time.sleep(0.001)


def resume_engine(folder: Path) -> None:
    """Let a hung engine go on."""
    os.kill(int((folder / "pid").read_text()), signal.SIGCONT)


def _is_stopped(thread: Path) -> bool:
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] in {"T", "Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return True


def new_run() -> Path:
    """Name the folder of a run's own engine, short enough for sockets in it."""
    return Path(tempfile.mkdtemp(prefix="pe-"))


def answers(path: Path) -> bool:
    try:
        return ask(path, "GET", "/_ping") == b"OK"
    except (OSError, ValueError, HTTPException):
        return False


def ask(path: Path, method: str, target: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    """Ask an engine something without the code under test. Raises ValueError with a refusal."""
    connection = _Connection(path)
    try:
        connection.request(method, quote(target, safe="/?=&"), body, {"Content-Type": kind})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status >= 400:
        raise ValueError(content.decode(errors="replace"))
    return content


class _Connection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("docker", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask_json(path: Path, method: str, target: str, body: Any = None) -> Any:
    answer = ask(path, method, target, b"" if body is None else json.dumps(body).encode())
    return json.loads(answer) if answer.strip() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What an image of nothing but a busybox says of itself."""

    name: str = BOX
    config: Mapping[str, Any]
    architecture: str = "amd64"
    layer: bytes | None = None  # a tar of its files; None: a busybox


def load_image(path: Path, image: Image) -> str:
    """Make an image from scratch, without registry and builder; gives its id."""
    layer = busybox_layer() if image.layer is None else image.layer
    config = {
        "architecture": image.architecture,
        "os": "linux",
        "config": dict(image.config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created_by": "paas tests"}],
    }
    manifest = [{"Config": "config.json", "RepoTags": [image.name], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config).encode(), "layer.tar": layer}
    archive = tar({**files, "manifest.json": json.dumps(manifest).encode()})
    told = ask(path, "POST", "/images/load?quiet=1", archive, "application/x-tar")
    assert b"errorDetail" not in told, told.decode()
    return str(ask_json(path, "GET", f"/images/{image.name}/json")["Id"])


def image_names(path: Path, start: str) -> list[str]:
    """List the tags and digests on an engine that start so."""
    return [
        name
        for image in ask_json(path, "GET", "/images/json")
        for name in (*(image["RepoTags"] or ()), *(image["RepoDigests"] or ()))
        if name.startswith(start)
    ]


def remove_images(path: Path, start: str) -> None:
    """Remove every name that starts so: other tests may have the same content under another one."""
    for name in image_names(path, start):
        with contextlib.suppress(ValueError):  # the last tag takes the digests along
            ask(path, "DELETE", f"/images/{name}?force=1")


@cache
def busybox_layer() -> bytes:
    """Make the only layer of an image: a busybox, and a page for its httpd to serve from /www."""
    busybox = require("busybox").read_bytes()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for folder in ("bin", "www", "tmp", "data"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(entry)
        for name, content in {"bin/busybox": busybox, "www/index.html": b"hello\n"}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
        for applet in ("sh", "sleep", "httpd", "cat", "ls", "id", "nc", "true", "ping", "chown", "su"):
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return stream.getvalue()


def tar(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
