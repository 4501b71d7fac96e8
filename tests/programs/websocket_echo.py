#!/usr/bin/python3 -IS
"""Speak RFC 6455: send back text and binary messages, answer pings and close. /pid tells the pid by HTTP."""

import base64
import hashlib
import os
import socket
import struct
import threading
from typing import BinaryIO

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
CLOSE, PING, PONG = 8, 9, 10


def read_frame(file: BinaryIO) -> tuple[int, bytes] | None:
    head = file.read(2)
    if len(head) < 2:
        return None
    size = head[1] & 0x7F
    if size == 126:
        (size,) = struct.unpack("!H", file.read(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", file.read(8))
    mask = file.read(4)
    body = file.read(size)
    whole = int.from_bytes(body, "big") ^ int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head[0], whole.to_bytes(size, "big")


def frame(first: int, body: bytes) -> bytes:
    if len(body) < 126:
        return bytes([first, len(body)]) + body
    if len(body) < 65536:
        return bytes([first, 126]) + struct.pack("!H", len(body)) + body
    return bytes([first, 127]) + struct.pack("!Q", len(body)) + body


def talk(connection: socket.socket, file: BinaryIO) -> None:
    while (received := read_frame(file)) is not None:
        first, body = received
        opcode = first & 0x0F
        if opcode == PONG:
            continue
        connection.sendall(frame(first & 0xF0 | PONG if opcode == PING else first, body))
        if opcode == CLOSE:
            return


def serve(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as file:
        fields = {}
        file.readline()
        while line := file.readline().strip():
            name, _, value = line.partition(b":")
            fields[name.lower()] = value.strip()
        key = fields.get(b"sec-websocket-key")
        if key is None:
            body = b"%d" % os.getpid()
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            return
        accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        talk(connection, file)


def main() -> None:
    with socket.create_server((os.environ["HOST"], int(os.environ["PORT"])), backlog=1024) as listener:
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


main()
