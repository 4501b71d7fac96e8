#!/usr/bin/python3 -IS
"""Hold MEGABYTES of memory, burn SECONDS_OF_CPU in a child, then answer every request with "ok"."""

import os
import socket
import sys
import threading
import time

held = bytearray(int(os.environ.get("MEGABYTES", "1")) * 1024 * 1024)
held[::4096] = b"x" * len(held[::4096])
child = os.fork()
if not child:
    while time.process_time() < float(os.environ.get("SECONDS_OF_CPU", "0.2")):
        pass
    sys.exit()
os.waitpid(child, 0)


def answer(connection: socket.socket) -> None:
    with connection:
        while connection.recv(65536):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


with socket.create_server((os.environ["HOST"], int(os.environ["PORT"]))) as listener:
    print("burnt and held", flush=True)
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()
