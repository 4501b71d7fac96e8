"""A GitHub that keeps what it is told: the part of its REST API that we use, over real HTTP."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "ghp-hunter2"


@dataclass(frozen=True, slots=True)
class Told:
    """A commit's state."""

    commit: str
    state: str
    context: str
    description: str
    target_url: str


@dataclass(slots=True)
class Comment:
    id: int
    number: int  # of the pull request
    texts: list[str]  # one after the other


@dataclass(slots=True)
class GitHub:
    """Knows one repository; what it was told may be read and changed while it runs."""

    repository: str
    url: str = ""
    states: list[Told] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    failures: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # of the next requests
    refused: int = 0  # requests without the token
    heard: list[str] = field(default_factory=list)
    stalls: bool = False  # does what it is asked, and answers once it is released
    stalled: threading.Event = field(default_factory=threading.Event)  # set when somebody waits for that
    released: threading.Event = field(default_factory=threading.Event)

    def states_of(self, commit: str) -> list[str]:
        return [told.state for told in self.states if told.commit == commit]


@contextlib.contextmanager
def serving(repository: str) -> Iterator[GitHub]:
    github = GitHub(repository)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            body = json.loads(self.rfile.read(length)) if length else None
            github.heard.append(f"{self.command} {self.path}")
            status, headers, answer = _answer(github, self.command, self.path, dict(self.headers), body)
            if github.stalls:
                github.stalled.set()
                github.released.wait()
            raw = json.dumps(answer).encode()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # whoever asked was ended
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    github.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield github
    finally:
        github.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


Reply = tuple[int, dict[str, str], Any]


def _answer(github: GitHub, method: str, path: str, headers: dict[str, str], body: Any) -> Reply:
    if github.failures:
        status, more = github.failures.pop(0)
        return status, more, {"message": "not now"}
    if headers.get("Authorization") != f"Bearer {TOKEN}":
        github.refused += 1
        return 401, {}, {"message": "Bad credentials"}
    prefix = f"/repos/{github.repository}/"
    rest = path.partition("?")[0].removeprefix(prefix) if path.startswith(prefix) else ""
    if method == "POST" and (found := re.fullmatch("statuses/([0-9a-f]{40})", rest)):
        github.states.append(Told(found[1], **body))
        return 201, {}, {}
    if found := re.fullmatch(r"issues/(\d+)/comments", rest):
        return _comments(github, method, path, int(found[1]), body)
    if method == "PATCH" and (found := re.fullmatch(r"issues/comments/(\d+)", rest)):
        for comment in github.comments:
            if comment.id == int(found[1]):
                comment.texts.append(body["body"])
                return 200, {}, _shown(comment)
    return 404, {}, {"message": "Not Found"}


def _comments(github: GitHub, method: str, path: str, number: int, body: Any) -> Reply:
    if method == "POST":
        comment = Comment(len(github.comments) + 1, number, [body["body"]])
        github.comments.append(comment)
        return 201, {}, _shown(comment)
    page = int(re.search(r"[?&]page=(\d+)", path)[1])  # type: ignore[index]  # we always say it
    found = [_shown(comment) for comment in github.comments if comment.number == number]
    return 200, {}, found[(page - 1) * 100 : page * 100]


def _shown(comment: Comment) -> Any:
    return {"id": comment.id, "body": comment.texts[-1]}
