#!/usr/bin/python3 -IS
"""Answer each request with what it was, as JSON. HTTP/1.1, keep-alive, both kinds of bodies.

GET /exit/N     ends the process with the code N, without an answer
GET /bytes/N    answers N bytes
GET /after/S    answers after S seconds
GET /status/N   answers with the status N
"""

import hashlib
import json
import os
import socket
import threading
import time
from typing import BinaryIO

Headers = list[tuple[str, str]]
BLOCK = bytes(65536)


def read_head(file: BinaryIO) -> tuple[str, str, Headers] | None:
    line = file.readline(65536)
    if not line.strip():
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers: Headers = []
    while (line := file.readline(65536)) not in {b"\r\n", b"\n", b""}:
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name, value.strip()))
    return method, target, headers


def read_exactly(file: BinaryIO, size: int, digest: "hashlib._Hash") -> int:
    left = size
    while left and (piece := file.read(min(left, 65536))):
        digest.update(piece)
        left -= len(piece)
    return size - left


def read_body(file: BinaryIO, headers: Headers) -> tuple[int, str]:
    digest = hashlib.sha256()
    fields = {name.lower(): value for name, value in headers}
    size = 0
    if fields.get("transfer-encoding", "").lower() == "chunked":
        while chunk := int(file.readline().split(b";")[0], 16):
            size += read_exactly(file, chunk, digest)
            file.readline()
        while file.readline() not in {b"\r\n", b"\n", b""}:
            pass
    else:
        size = read_exactly(file, int(fields.get("content-length", "0")), digest)
    return size, digest.hexdigest()


def send_bytes(connection: socket.socket, size: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    while size:
        size -= connection.send(BLOCK[: min(size, len(BLOCK))])


def answer(connection: socket.socket, file: BinaryIO) -> bool:
    """Serve one request; say whether the connection goes on."""
    head = read_head(file)
    if head is None:
        return False
    method, target, headers = head
    if any(name.lower() == "expect" for name, _ in headers):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    size, sha256 = read_body(file, headers)
    status = 200
    match target.split("/"):
        case ["", "exit", code]:
            os._exit(int(code))
        case ["", "bytes", count]:
            send_bytes(connection, int(count))
            return True
        case ["", "after", seconds]:
            time.sleep(float(seconds))
        case ["", "status", number]:
            status = int(number)
    body = json.dumps(
        {
            "method": method,
            "path": target,
            "headers": headers,
            "body_bytes": size,
            "body_sha256": sha256,
            "pid": os.getpid(),
            "deployment_id": os.environ.get("DEPLOYMENT_ID"),
            "env": dict(os.environ),
        }
    ).encode()
    closes = any(name.lower() == "connection" and value.lower() == "close" for name, value in headers)
    connection.sendall(
        b"HTTP/1.1 %d Echo\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n"
        % (status, len(body), b"Connection: close\r\n" if closes else b"")
        + (b"" if method == "HEAD" else body)
    )
    return not closes


def serve(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as file:
        try:
            while answer(connection, file):
                pass
        except OSError:
            return


def main() -> None:
    address = (os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"]))
    with socket.create_server(address, backlog=1024) as listener:
        print(f"listening on {address[1]}", flush=True)
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


main()
