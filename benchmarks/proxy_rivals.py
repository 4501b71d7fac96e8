"""Starts the app and the proxies that are compared, each on a free loopback port in a temporary folder."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOST = "hello-default.localhost"
START_SECS = 15.0
LARGE = 10 * 1024 * 1024

NGINX = """
worker_processes 1; daemon off; pid {dir}/{name}.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; client_max_body_size 0;
  client_body_temp_path {dir}/1; proxy_temp_path {dir}/2; fastcgi_temp_path {dir}/3;
  uwsgi_temp_path {dir}/4; scgi_temp_path {dir}/5;
  {body}
}}
"""
APP = """
  server {{ listen 127.0.0.1:{port}; root {dir};
    location / {{ default_type text/plain; return 200 "{payload}"; }}
    location /large {{ }}
    location /tunnel {{ proxy_pass http://127.0.0.1:{tunnel_port}; }} }}
"""
NGINX_PROXY = """
  upstream app {{ server 127.0.0.1:{app_port}; keepalive 128; keepalive_requests 1000000000; }}
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  server {{ listen 127.0.0.1:{port}; server_name {host}; proxy_max_temp_file_size 0;
    proxy_http_version 1.1; proxy_read_timeout 600s;
    proxy_set_header Host $host; proxy_set_header Connection $connection_upgrade;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto http; proxy_set_header X-Forwarded-Host $host;
    location / {{ proxy_pass http://app; }}
    location /tunnel {{ proxy_pass http://127.0.0.1:{tunnel_port}; }} }}
"""
HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout tunnel 600s
  option forwardfor
frontend all
  bind 127.0.0.1:{port}
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  use_backend tunnel if {{ path /tunnel }}
  use_backend app if {{ hdr(host) -i {host} }}
backend app
  http-reuse always
  server app 127.0.0.1:{app_port}
backend tunnel
  server tunnel 127.0.0.1:{tunnel_port}
"""
CADDY = """
{{
  admin off
  auto_https off
}}
http://{host}:{port} {{
  bind 127.0.0.1
  reverse_proxy /tunnel 127.0.0.1:{tunnel_port}
  reverse_proxy 127.0.0.1:{app_port}
}}
"""


@dataclass(frozen=True, slots=True)
class Rival:
    name: str
    port: int
    pid: int  # of the process that does the work


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def pinned(core: int, command: list[str]) -> list[str]:
    return ["taskset", "-c", str(core), *command]


@contextlib.contextmanager
def started(command: list[str], port: int, env: dict[str, str] | None = None) -> Iterator[int]:
    """Run a server until the block ends; yields its pid once it accepts."""
    environment = {**os.environ, **(env or {})}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        try:
            _until_accepts(process, port)
            yield process.pid
        finally:
            process.terminate()


def _until_accepts(process: subprocess.Popen[bytes], port: int) -> None:
    ends_at = time.monotonic() + START_SECS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > ends_at:
                raise
            time.sleep(0.02)
        else:
            return


def worker_of(pid: int) -> int:
    """Find nginx's worker, which does the work for its master."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid


@contextlib.contextmanager
def everything(folder: Path, tunnel_port: int) -> Iterator[tuple[int, list[Rival]]]:
    """Start the app on core 1 and each proxy that is installed on core 0; yields the app's port and them."""
    folder.chmod(0o755)  # nginx as root reads its files as another user
    app_port = free_port()
    (folder / "large").write_bytes(os.urandom(LARGE))
    app = APP.format(port=app_port, dir=folder, payload="x" * 1024, tunnel_port=tunnel_port)
    (folder / "app.conf").write_text(NGINX.format(dir=folder, name="app", body=app))
    with contextlib.ExitStack() as stack:
        stack.enter_context(started(pinned(1, ["nginx", "-c", str(folder / "app.conf")]), app_port))
        rivals = [_start_paas(stack, app_port)]
        for name, start in (("nginx", _nginx), ("haproxy", _haproxy), ("caddy", _caddy)):
            if shutil.which(name):
                values = {"host": HOST, "app_port": app_port, "tunnel_port": tunnel_port}
                rivals.append(start(stack, folder, values))
        yield app_port, rivals


def _start_paas(stack: contextlib.ExitStack, app_port: int) -> Rival:
    command = pinned(0, [sys.executable, "-m", "benchmarks.proxy_runner", str(app_port)])
    process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    stack.callback(process.terminate)
    if process.stdout is None:
        raise RuntimeError("cannot read the port of the proxy")
    return Rival("paas", int(process.stdout.readline()), process.pid)


def _nginx(stack: contextlib.ExitStack, folder: Path, values: dict[str, object]) -> Rival:
    port = free_port()
    body = NGINX_PROXY.format(port=port, **values)
    config = folder / "proxy.conf"
    config.write_text(NGINX.format(dir=folder, name="proxy", body=body))
    pid = stack.enter_context(started(pinned(0, ["nginx", "-c", str(config)]), port))
    return Rival("nginx", port, worker_of(pid))


def _haproxy(stack: contextlib.ExitStack, folder: Path, values: dict[str, object]) -> Rival:
    port = free_port()
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, **values))
    pid = stack.enter_context(started(pinned(0, ["haproxy", "-db", "-f", str(config)]), port))
    return Rival("haproxy", port, pid)


def _caddy(stack: contextlib.ExitStack, folder: Path, values: dict[str, object]) -> Rival:
    port = free_port()
    config = folder / "Caddyfile"
    config.write_text(CADDY.format(port=port, **values))
    command = pinned(0, ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)])
    env = {"GOMAXPROCS": "1", "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    pid = stack.enter_context(started(command, port, env))
    return Rival("caddy", port, pid)
