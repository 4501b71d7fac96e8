"""The programs that the benchmarks deploy: each one executable file that listens on HOST and PORT."""

import shutil
import subprocess
from pathlib import Path

C_SOURCE = r"""
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nhi\n";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *port = getenv("PORT");
    char request[4096];
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_port = htons(port ? atoi(port) : 8000);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 128))
        return 1;
    for (;;) {
        int client = accept(listener, 0, 0);
        if (client < 0)
            return 1;
        if (read(client, request, sizeof request) > 0)
            (void)!write(client, answer, sizeof answer - 1);
        close(client);
    }
}
"""

PYTHON_SOURCE = """#!/usr/bin/env python3
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"hi\\n")
    def log_message(self, *arguments):
        pass
http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""

NODE_SOURCE = """#!/usr/bin/env node
require("http").createServer((request, response) => response.end("hi\\n"))
    .listen(Number(process.env.PORT), process.env.HOST);
"""


def make_all(folder: Path) -> dict[str, Path]:
    """Write and compile what this machine has a compiler or an interpreter for."""
    made = {}
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is not None:
        made["static C server"] = _compile(compiler, folder / "tiny")
    for name, source, interpreter in (
        ("Python http.server", PYTHON_SOURCE, "python3"),
        ("node http", NODE_SOURCE, "node"),
    ):
        if shutil.which(interpreter) is not None:
            made[name] = folder / interpreter
            made[name].write_text(source)
            made[name].chmod(0o755)
    return made


def _compile(compiler: str, target: Path) -> Path:
    source = target.with_suffix(".c")
    source.write_text(C_SOURCE)
    subprocess.run([compiler, "-O2", "-static", "-o", str(target), str(source)], check=True)
    return target
