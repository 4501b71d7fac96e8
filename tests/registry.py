"""A real registry with a password, Debian's docker-registry, and images put into it without an engine."""

import base64
import contextlib
import gzip
import hashlib
import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.requirements import require

LIMIT_SECS = 30.0
USERNAME, PASSWORD = "ci", "password-of-the-registry"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
SETTINGS = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:0"}}
auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}
"""
_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """An engine on this machine trusts it without TLS, as every one at 127.0.0.0/8."""

    host: str
    username: str = USERNAME
    password: str = PASSWORD

    def push(
        self, repository: str, layer: bytes, config: Mapping[str, Any], *, architecture: str = "amd64"
    ) -> str:
        """Put in an image of one layer, a tar, under the tag `latest`; returns its whole name."""
        packed = gzip.compress(layer, 1, mtime=0)
        described = {
            "architecture": architecture,
            "os": "linux",
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
            "history": [{"created_by": "paas tests"}],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._put_blob(repository, CONFIG, json.dumps(described).encode()),
            "layers": [self._put_blob(repository, LAYER, packed)],
        }
        self.ask("PUT", f"/v2/{repository}/manifests/latest", json.dumps(manifest).encode(), MANIFEST)
        return f"{self.host}/{repository}:latest"

    def ask(self, method: str, target: str, body: bytes = b"", kind: str = "") -> Mapping[str, str]:
        """Send a request with the password; returns the answer's headers. Raises ValueError if refused."""
        login = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        connection = HTTPConnection(self.host, timeout=LIMIT_SECS)
        with contextlib.closing(connection):
            headers = {"Authorization": f"Basic {login}", "Content-Type": kind or "application/octet-stream"}
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        if answer.status >= 400:
            raise ValueError(f"{method} {target}: {answer.status} {content!r}")
        return dict(answer.headers)

    def _put_blob(self, repository: str, kind: str, content: bytes) -> dict[str, object]:
        begun = urlsplit(self.ask("POST", f"/v2/{repository}/blobs/uploads/")["Location"])
        self.ask("PUT", f"{begun.path}?{begun.query}&digest={_digest(content)}", content)
        return {"mediaType": kind, "size": len(content), "digest": _digest(content)}


@contextlib.contextmanager
def running(folder: Path, *, username: str = USERNAME, password: str = PASSWORD) -> Iterator[Registry]:
    """Run a registry that keeps everything in a folder, for one user; without it the test is left out."""
    program, htpasswd = require("docker-registry"), require("htpasswd")
    line = subprocess.run(
        [htpasswd, "-n", "-i", "-B", "-C", "4", username],
        input=password,
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT_SECS,
    )
    (folder / "htpasswd").write_text(line.stdout)
    (folder / "registry.yml").write_text(SETTINGS.format(folder=folder))
    with (folder / "registry.log").open("w") as log:
        process = subprocess.Popen(
            [program, "serve", folder / "registry.yml"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield Registry(
            host=f"127.0.0.1:{_port(process, folder / 'registry.log')}", username=username, password=password
        )
    finally:
        process.kill()
        process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until it listens, and say where."""
    deadline = time.monotonic() + LIMIT_SECS
    while True:
        found = _LISTENING.search(log.read_text())
        if found is not None:
            return found[1]
        assert process.poll() is None, f"the registry ended: {log.read_text()}"
        assert time.monotonic() < deadline, f"the registry does not listen: {log.read_text()}"
        time.sleep(0.01)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
