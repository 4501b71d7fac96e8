"""Compares the proxy with nginx, HAProxy and Caddy: `python -m benchmarks.proxy [--rounds N] [--seconds S]`.

All run side by side, pinned to core 0, the app and the load to core 1, and are loaded in turn within
each round; a figure is the median over rounds of ratios within a round, so that other load on the
machine strikes all alike. Needs wrk, taskset and nginx; leaves out the rivals that are not installed.
"""

import argparse
import contextlib
import re
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.proxy_rivals import HOST, Rival, everything, pinned

BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.9",
    "Accept-Encoding: gzip, deflate, br",
    "Cookie: session=abcdefghijklmnopqrstuvwxyz0123456789; theme=dark",
    "Cache-Control: no-cache",
    f"Referer: http://{HOST}/page",
    "Sec-Fetch-Mode: navigate",
    "Upgrade-Insecure-Requests: 1",
)  # fmt: skip
STALLED_READERS, TUNNELS, SINGLE_REQUESTS = 50, 500, 1000
REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


@dataclass(slots=True)
class Figures:
    """What was measured of one proxy, a value a round."""

    per_second: dict[str, list[float]] = field(default_factory=lambda: {"minimal": [], "browser": []})
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {"minimal": [], "browser": []})
    added_p50_us: list[float] = field(default_factory=list)
    stalled_mib: float = 0.0
    tunnel_kib: float = 0.0


def cpu_secs(pid: int) -> float:
    """Sum the scheduler's run time of all threads."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def load(rival: Rival, kind: str, seconds: float, figures: Figures) -> None:
    """Load one proxy with wrk and note requests/s and CPU per request."""
    headers = [f"Host: {HOST}", *(BROWSER if kind == "browser" else ())]
    flags = [flag for header in headers for flag in ("-H", header)]
    command = ["wrk", "-t1", "-c64", f"-d{seconds:g}s", *flags, f"http://127.0.0.1:{rival.port}/"]
    before = cpu_secs(rival.pid)
    report = subprocess.run(pinned(1, command), capture_output=True, text=True, check=True).stdout
    used = cpu_secs(rival.pid) - before
    count = re.search(r"(\d+) requests in", report)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", report)
    if count is None or rate is None or "Non-2xx" in report:
        raise RuntimeError(f"cannot read the result for {rival.name}: {report}")
    figures.per_second[kind].append(float(rate[1]))
    figures.cpu_us[kind].append(used / int(count[1]) * 1e6)


def p50_us(port: int) -> float:
    """Measure one connection's median time from request to whole answer."""
    times = []
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(SINGLE_REQUESTS):
            started = time.perf_counter()
            line.sendall(REQUEST)
            _read_answer(line)
            times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e6


def _read_answer(line: socket.socket) -> None:
    data = line.recv(65536)
    while b"\r\n\r\n" not in data:
        data += line.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    left = (int(length[1]) if length else 0) - len(body)
    while left > 0:
        left -= len(line.recv(65536))


def stalled_growth_mib(rival: Rival) -> float:
    """Measure what readers that stop reading 10 MiB answers cost in resident memory."""
    request = REQUEST.replace(b"GET / ", b"GET /large ")
    before = resident_bytes(rival.pid)
    with contextlib.ExitStack() as stack:
        for _ in range(STALLED_READERS):
            line = stack.enter_context(socket.socket())
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.connect(("127.0.0.1", rival.port))
            line.sendall(request)
        time.sleep(2)
        return (resident_bytes(rival.pid) - before) / 2**20


def tunnel_growth_kib(rival: Rival) -> float:
    """Measure an idle upgraded connection's resident memory."""
    lines = b"GET /tunnel HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"
    request = REQUEST.replace(b"GET / HTTP/1.1\r\n", lines)
    with contextlib.ExitStack() as stack:
        for number in range(TUNNELS + 50):
            if number == 50:  # the first ones warm up what all share
                before = resident_bytes(rival.pid)
            line = stack.enter_context(socket.create_connection(("127.0.0.1", rival.port)))
            line.sendall(request)
            if b" 101 " not in line.recv(65536):
                raise RuntimeError(f"cannot upgrade a connection through {rival.name}")
        time.sleep(0.5)
        return (resident_bytes(rival.pid) - before) / TUNNELS / 1024


@contextlib.contextmanager
def upgrading_server() -> Iterator[int]:
    """Accept upgrades and hold them open."""
    held: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = listener.accept()
                held.append(line)
                line.recv(65536)
                line.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
                )

    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
    for line in held:
        line.close()


def measure(rounds: int, seconds: float) -> dict[str, Figures]:
    with (
        tempfile.TemporaryDirectory() as folder,
        upgrading_server() as tunnel_port,
        everything(Path(folder), tunnel_port) as (app_port, rivals),
    ):
        all_figures = {rival.name: Figures() for rival in rivals}
        for _ in range(rounds):
            direct = p50_us(app_port)
            for rival in rivals:
                figures = all_figures[rival.name]
                for kind in figures.per_second:
                    load(rival, kind, seconds, figures)
                figures.added_p50_us.append(p50_us(rival.port) - direct)
        for rival in rivals:
            all_figures[rival.name].stalled_mib = stalled_growth_mib(rival)
        for rival in rivals:
            all_figures[rival.name].tunnel_kib = tunnel_growth_kib(rival)
        return all_figures


def table(all_figures: dict[str, Figures]) -> str:
    """Write the figures as Markdown; a ratio is ours over theirs, round by round."""
    ours = all_figures["paas"]
    titles = (
        "proxy",
        "paas / it, req/s minimal",
        "browser",
        "CPU us/req minimal",
        "browser",
        "added p50 us",
        "50 stalled readers MiB",
        "upgraded connection KiB",
    )
    rows = [f"| {' | '.join(titles)} |", "| --- " * len(titles) + "|"]
    for name, theirs in all_figures.items():
        ratios = [
            statistics.median(
                mine / other
                for mine, other in zip(ours.per_second[kind], theirs.per_second[kind], strict=True)
            )
            for kind in ("minimal", "browser")
        ]
        cpu = [statistics.median(theirs.cpu_us[kind]) for kind in ("minimal", "browser")]
        rows.append(
            f"| {name} | {ratios[0]:.2f} | {ratios[1]:.2f} | {cpu[0]:.1f} | {cpu[1]:.1f} "
            f"| {statistics.median(theirs.added_p50_us):.0f} | {theirs.stalled_mib:.1f} "
            f"| {theirs.tunnel_kib:.1f} |"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of load, per proxy and kind of request")
    options = parser.parse_args()
    print(table(measure(options.rounds, options.seconds)))


if __name__ == "__main__":
    main()
