"""The server that static sites are given, over sockets."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from paas.builders import static_server
from tests.harness import own_ports

PAGE = b"<h1>home</h1>"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("program") / "public"
    (root / "docs").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / ".well-known").mkdir()
    for name, content in {
        "index.html": PAGE,
        "docs/index.html": b"docs",
        "about.html": b"about",
        "404.html": b"nothing here",
        "style.css": b"body {}",
        "with space.txt": b"spaced",
        ".env": b"SECRET=1",
        ".well-known/security.txt": b"mail us",
        "data.bin": bytes(range(256)) * 4096,
    }.items():
        (root / name).write_bytes(content)
    (root.parent / "outside.txt").write_text("not yours")
    (root / "leaving").symlink_to("../outside.txt")
    (root / "hiding").symlink_to(".env")
    return root


@pytest.fixture(scope="module")
def port(site: Path) -> Iterator[int]:
    with own_ports() as (port, _):
        process = subprocess.Popen(
            [sys.executable, "-ISE", static_server.__file__, "missing", "public", "."],
            cwd=site.parent,
            env={"HOST": "127.0.0.1", "PORT": str(port)},
        )
        try:
            while process.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                except ConnectionRefusedError:
                    os.sched_yield()
                else:
                    break
            yield port
            assert process.poll() is None
        finally:
            process.kill()
            process.wait()


def ask(
    port: int, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/", PAGE, "text/html; charset=utf-8"),
        ("/?a=1", PAGE, "text/html; charset=utf-8"),
        ("/docs/", b"docs", "text/html; charset=utf-8"),
        ("/about", b"about", "text/html; charset=utf-8"),
        ("/style.css", b"body {}", "text/css; charset=utf-8"),
        ("/with%20space.txt", b"spaced", "text/plain; charset=utf-8"),
        ("/.well-known/security.txt", b"mail us", "text/plain; charset=utf-8"),
        ("/data.bin", bytes(range(256)) * 4096, "application/octet-stream"),
    ],
)
def test_files_are_served(port: int, path: str, body: bytes, kind: str) -> None:
    response, content = ask(port, path)

    assert response.status == 200
    assert content == body
    assert response.headers["content-type"] == kind


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/empty/",
        "/.env",
        "/docs/../.env",
        "/../outside.txt",
        "/..%2foutside.txt",
        "/%2e%2e/outside.txt",
        "/leaving",
        "/hiding",
        "/style.css/",
        "//etc/passwd",
    ],
)
def test_what_is_hidden_outside_or_absent_is_the_404_page(port: int, path: str) -> None:
    response, content = ask(port, path)

    assert response.status == 404
    assert content == b"nothing here"


@pytest.mark.parametrize("path", ["nothing", "/%zz", "/%", "/%00", "/%ff", "*"])
def test_what_is_no_path_is_refused(port: int, path: str) -> None:
    assert ask(port, path)[0].status == 400


def test_a_folder_without_its_slash_is_sent_there(port: int) -> None:
    response, _ = ask(port, "/docs?x=1")

    assert response.status == 301
    assert response.headers["location"] == "/docs/?x=1"


def test_head_has_the_fields_of_get_and_no_body(port: int) -> None:
    response, content = ask(port, "/style.css", "HEAD")

    assert (response.status, response.headers["content-length"], content) == (200, "7", b"")


def test_other_methods_are_refused(port: int) -> None:
    response, _ = ask(port, "/", "POST", {"Content-Length": "0"})

    assert response.status == 405
    assert response.headers["allow"] == "GET, HEAD"


def test_what_the_client_has_is_not_sent_again(port: int) -> None:
    first, _ = ask(port, "/style.css")

    by_tag, body = ask(port, "/style.css", headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'})
    by_date, _ = ask(port, "/style.css", headers={"If-Modified-Since": first.headers["last-modified"]})
    other, _ = ask(
        port,
        "/style.css",
        headers={"If-None-Match": '"x"', "If-Modified-Since": first.headers["last-modified"]},
    )

    assert (by_tag.status, body) == (304, b"")
    assert by_date.status == 304
    assert other.status == 200


@pytest.mark.parametrize(
    ("wanted", "status", "body"),
    [
        ("bytes=0-3", 206, b"body"),
        ("bytes=-2", 206, b"{}"),
        ("bytes=5-", 206, b"{}"),
        ("bytes=5-900", 206, b"{}"),
        ("bytes=7-", 416, None),
        ("bytes=3-1", 200, b"body {}"),
        ("bytes=0-1,3-4", 200, b"body {}"),
        ("lines=0-1", 200, b"body {}"),
    ],
)
def test_a_range_is_sent_alone(port: int, wanted: str, status: int, body: bytes | None) -> None:
    response, content = ask(port, "/style.css", headers={"Range": wanted})

    assert response.status == status
    if body is not None:
        assert content == body
    if status == 206:
        assert response.headers["content-range"].endswith("/7")


def test_requests_in_a_row_share_a_connection(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /style.css HTTP/1.1\r\n\r\n" * 2 + b"GET /none HTTP/1.0\r\n\r\n")
        received = b""
        while chunk := connection.recv(65536):
            received += chunk

    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert received.count(b"HTTP/1.1 404 Not Found") == 1


def test_a_client_that_does_not_read_stops_nobody(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"GET /data.bin HTTP/1.1\r\n\r\n" * 8)

        assert ask(port, "/")[1] == PAGE


def test_an_endless_head_is_cut_off(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nA: " + b"a" * 40_000)

        assert connection.recv(65536).startswith(b"HTTP/1.1 431 ")
