#!/bin/sh
# Listens after SLOW_S seconds, then answers every request with its pid.
sleep "${SLOW_S:-1}"
exec /usr/bin/python3 -IS -c '
import os, socket
with socket.create_server((os.environ["HOST"], int(os.environ["PORT"]))) as listener:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            body = str(os.getpid()).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
'
