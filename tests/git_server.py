"""A Git server over smart HTTP, public or with a token: git's own program behind Python's server."""

import base64
import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

BACKEND = "/usr/lib/git-core/git-http-backend"
IDENTITY = {
    **{f"GIT_{who}_NAME": "somebody" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "somebody@example.com" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_DATE": "2026-01-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")},
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


@dataclass(slots=True)
class GitServer:
    """Serves the repositories below `root`; the fields may be changed while it runs."""

    root: Path
    url: str = ""
    token: str | None = None  # asked for, as the password of anybody
    redirect_to: str | None = None  # the address of another server: sends everybody there who may come in
    failure: str | None = None  # what it says, and nothing else, to whoever may come in
    moved: dict[str, str] = field(default_factory=dict)  # the new paths of repositories by the old ones
    knows_protocol_2: bool = True  # without it, commits are not given by their ids
    stalls: bool = False  # accepts, and never answers
    seen: list[tuple[str, str]] = field(default_factory=list)  # path and Authorization of each request
    stalled: threading.Event = field(default_factory=threading.Event)  # set when somebody waits for nothing
    released: threading.Event = field(default_factory=threading.Event)

    def address(self, name: str) -> str:
        return f"{self.url}/{name}"

    def publish(
        self,
        name: str,
        files: Mapping[str, str | bytes],
        *,
        branch: str = "main",
        links: Mapping[str, str] | None = None,
    ) -> str:
        """Commit exactly these files on a branch of a repository, new or not, and give the commit's id."""
        self.make(name)
        entries = [
            f"{_mode(content)} blob {self._blob(name, content)}\t{path}" for path, content in files.items()
        ]
        entries += [f"120000 blob {self._blob(name, to)}\t{path}" for path, to in (links or {}).items()]
        return self.commit(name, "\n".join(entries), branch=branch)

    def make(self, name: str) -> None:
        """Make an empty repository, unless it is there."""
        folder = self.root / name
        if not folder.exists():
            folder.mkdir(parents=True)
            self.git(name, "init", "--quiet", "--bare", "--initial-branch=main")
            self.git(name, "config", "http.receivepack", "true")

    def commit(self, name: str, entries: str, *, branch: str = "main") -> str:
        """Commit a tree given by the lines of `git ls-tree`; folders are made of the paths."""
        index = {"GIT_INDEX_FILE": str(self.root / name / "index-of-test")}
        self.git(name, "read-tree", "--empty", extra=index)
        self.git(name, "update-index", "--add", "--index-info", typed=entries, extra=index)
        tree = self.git(name, "write-tree", "--missing-ok", extra=index)
        return self.commit_tree(name, tree, branch=branch)

    def commit_tree(self, name: str, tree: str, *, branch: str = "main") -> str:
        before = self.git(name, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        parents = ("-p", before) if before else ()
        commit = self.git(name, "commit-tree", tree, "-m", "publish", *parents)
        self.git(name, "update-ref", f"refs/heads/{branch}", commit)
        return commit

    def git(
        self, name: str, *arguments: str, typed: str | bytes = "", extra: Mapping[str, str] | None = None
    ) -> str:
        """Run git in a repository and give what it prints."""
        environment = {**os.environ, **IDENTITY, **(extra or {}), "GIT_DIR": str(self.root / name)}
        content = typed.encode() if isinstance(typed, str) else typed
        done = subprocess.run(
            ["git", *arguments], input=content, env=environment, capture_output=True, check=True, timeout=60
        )
        return done.stdout.decode().strip()

    def _blob(self, name: str, content: str | bytes) -> str:
        return self.git(name, "hash-object", "-w", "--stdin", typed=content)


def _mode(content: str | bytes) -> str:
    return "100755" if content[:2] in ("#!", b"#!") else "100644"


@contextlib.contextmanager
def serving(root: Path) -> Iterator[GitServer]:
    """Run a server until the block is left."""
    git_server = GitServer(root)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            _answer(self, git_server)

        do_GET = do_POST = _answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    git_server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield git_server
    finally:
        git_server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(request: BaseHTTPRequestHandler, server: GitServer) -> None:
    credentials = request.headers.get("Authorization", "")
    server.seen.append((request.path, credentials))
    request.close_connection = True
    body = _body(request)
    if server.stalls:
        server.stalled.set()
        server.released.wait()
        return
    old = next((old for old in server.moved if request.path.startswith(old + "/")), None)
    if old is not None:
        _send(request, 301, {"Location": server.url + request.path.replace(old, server.moved[old], 1)})
    elif server.token is not None and not _knows(credentials, server.token):
        _send(request, 401, {"WWW-Authenticate": 'Basic realm="git"'})
    elif server.redirect_to is not None:
        _send(request, 302, {"Location": server.redirect_to + request.path})
    elif server.failure is not None:
        _send(request, 500, {"Content-Type": "text/plain"}, server.failure.encode())
    else:
        _run_backend(request, server, body)


def _body(request: BaseHTTPRequestHandler) -> bytes:
    source: BinaryIO = request.rfile  # type: ignore[assignment]  # typeshed calls it BufferedIOBase
    if request.headers.get("Transfer-Encoding", "") != "chunked":
        return source.read(int(request.headers.get("Content-Length", "0")))
    body = b""
    while size := int(source.readline(), 16):
        body += source.read(size)
        source.readline()
    source.readline()
    return body


def _knows(credentials: str, token: str) -> bool:
    return credentials == "Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()


def _run_backend(request: BaseHTTPRequestHandler, server: GitServer, body: bytes) -> None:
    parts = urlsplit(request.path)
    headers = request.headers
    environment = {
        **os.environ,
        **IDENTITY,
        "GIT_PROJECT_ROOT": str(server.root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": unquote(parts.path),
        "QUERY_STRING": parts.query,
        "REQUEST_METHOD": request.command,
        "CONTENT_TYPE": headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": headers.get("Content-Encoding", ""),
        "REMOTE_ADDR": "127.0.0.1",
    }
    if server.knows_protocol_2:
        environment["GIT_PROTOCOL"] = headers.get("Git-Protocol", "")
    done = subprocess.run(
        [BACKEND], input=body, env=environment, capture_output=True, check=False, timeout=60
    )
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
    status = int(fields.pop("Status", "200").split()[0])
    _send(request, status, fields, content)


def _send(
    request: BaseHTTPRequestHandler, status: int, fields: Mapping[str, str], content: bytes = b""
) -> None:
    try:
        request.send_response(status)
        for name, value in {**fields, "Content-Length": str(len(content)), "Connection": "close"}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)
    except (BrokenPipeError, ConnectionResetError):
        pass  # whoever asked has been stopped
