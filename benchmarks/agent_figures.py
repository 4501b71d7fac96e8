"""What the agent itself costs: its start, its memory, a deploy, an acknowledged write."""

import asyncio
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import p50_p95, percentile, table
from paas.store import feed
from paas.store.database import Database
from tests.harness import REPOSITORY, Agent

WRITERS = 64
WRITES_EACH = 50
IDLE_SECS = 1.0
TRY_EVERY_SECS = 0.0005
PROXY = ("127.0.0.1", 30999)
LISTEN = ("--api", "127.0.0.1:0", "--proxy", "127.0.0.1:30999")
ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": ""}


@dataclass(slots=True)
class Starts:
    """What was measured of the agent's own start, a value a start."""

    proxy_ms: list[float] = field(default_factory=list)
    all_ms: list[float] = field(default_factory=list)
    processor_ms: list[float] = field(default_factory=list)
    resident_mib: list[float] = field(default_factory=list)
    private_mib: list[float] = field(default_factory=list)


def print_starts(times: int) -> None:
    """Start an agent again and again; the first time fills the caches and does not count."""
    _start(Starts())
    starts = Starts()
    for _ in range(times):
        _start(starts)
    bare_ms = [_bare_ms() for _ in range(times)]
    rows = [
        ("start until the proxy accepts, ms", p50_p95(starts.proxy_ms)),
        ("start until the API accepts too, ms", p50_p95(starts.all_ms)),
        ("processor time until then, ms", p50_p95(starts.processor_ms)),
        ("for comparison: `python -c pass`, ms", p50_p95(bare_ms)),
        ("idle resident memory without apps, MiB", p50_p95(starts.resident_mib)),
        ("of it not shared with files, MiB", p50_p95(starts.private_mib)),
    ]
    print(table(f"The agent itself, {times} starts", ("", "p50 / p95"), rows))


def _start(starts: Starts) -> None:
    """Start an agent with an empty state directory, watch it, end it."""
    with tempfile.TemporaryDirectory(prefix="paas-start-") as state:
        Path(state).chmod(0o755)  # hosted apps run as another user, who has to get in
        began = time.perf_counter()
        agent = subprocess.Popen(
            [sys.executable, "-m", "paas", "serve", "--state", state, *LISTEN],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=REPOSITORY,
            env=os.environ | ENVIRONMENT,
        )
        try:
            while not _is_listening():
                time.sleep(TRY_EVERY_SECS)
            starts.proxy_ms.append((time.perf_counter() - began) * 1000)
            assert agent.stdout is not None
            lines = [agent.stdout.readline() for _ in ("api", "proxy")]
            if not all(lines):
                raise RuntimeError("the agent did not start")
            starts.all_ms.append((time.perf_counter() - began) * 1000)
            starts.processor_ms.append(_cpu_ms(agent.pid))
            time.sleep(IDLE_SECS)
            starts.resident_mib.append(_status_mib(agent.pid, "VmRSS"))
            starts.private_mib.append(_status_mib(agent.pid, "RssAnon"))
        finally:
            agent.terminate()
            agent.communicate()


def _is_listening() -> bool:
    try:
        socket.create_connection(PROXY, timeout=1).close()
    except OSError:
        return False
    return True


async def print_deploys(agent: Agent, file: Path, times: int) -> None:
    """Time POSTs of deployments until the app's own host answers 200."""
    artifact = await agent.upload(file)
    answered_ms, served_ms = [], []
    for number in range(times):
        name = f"fresh{number}"
        app = await agent.app(name)
        body = json.dumps({"artifact_id": artifact, "resources": {"cpu": "2"}})
        answered, served = _deploy(agent, app["id"], f"{name}-default.localhost", body)
        answered_ms.append(answered)
        served_ms.append(served)
        await agent.ask("DELETE", f"/api/v1/apps/{app['id']}", expect=204)
    rows = [("POST answered", p50_p95(answered_ms)), ("first 200 through the proxy", p50_p95(served_ms))]
    print(table(f"Deploy of {file.name}, ms from the POST, {times} times", ("", "p50 / p95"), rows))


def _deploy(agent: Agent, app_id: str, host: str, body: str) -> tuple[float, float]:
    api = http.client.HTTPConnection(agent.api_url.removeprefix("http://"))
    api.connect()
    began = time.perf_counter()
    api.request("POST", f"/api/v1/apps/{app_id}/deployments", body, {"Content-Type": "application/json"})
    answer = api.getresponse()
    answered = time.perf_counter()
    if answer.status != http.HTTPStatus.CREATED:
        raise RuntimeError(answer.read())
    answer.read()
    while not _is_served(agent, host):
        time.sleep(TRY_EVERY_SECS)
    api.close()
    return (answered - began) * 1000, (time.perf_counter() - began) * 1000


def _is_served(agent: Agent, host: str) -> bool:
    proxy = http.client.HTTPConnection(agent.proxy_url.removeprefix("http://"))
    try:
        proxy.request("GET", "/", headers={"Host": host})
        return proxy.getresponse().status == http.HTTPStatus.OK
    finally:
        proxy.close()


async def print_commits() -> None:
    """Compare many writers, each acknowledged only when durable, with one after the other."""
    with tempfile.TemporaryDirectory(prefix="paas-commits-") as folder:
        async with Database.open(Path(folder) / "state.db") as database:
            alone, together = [], []
            for _ in range(5):
                alone.append(await _writes_per_second(database, writers=1, each=WRITERS * 4))
                together.append(await _writes_per_second(database, writers=WRITERS, each=WRITES_EACH))
    ratios = [many / one for many, one in zip(together, alone, strict=True)]
    rows = [
        ("one writer, one commit each, writes/s", f"{percentile(alone, 0.5):,.0f}"),
        (f"{WRITERS} writers that share commits, writes/s", f"{percentile(together, 0.5):,.0f}"),
        ("paired ratio", f"{percentile(ratios, 0.5):.1f}x"),
    ]
    print(table("Acknowledged writes (synchronous=FULL), median of 5 rounds", ("", ""), rows))


async def _writes_per_second(database: Database, *, writers: int, each: int) -> float:
    async def write() -> None:
        for _ in range(each):
            async with database.transaction() as tx:
                await feed.append(tx, "benchmark", at=time.time())

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(writers):
            group.create_task(write())
    return writers * each / (time.perf_counter() - began)


def _bare_ms() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], cwd=REPOSITORY, check=True)
    return (time.perf_counter() - began) * 1000


def _cpu_ms(pid: int) -> float:
    """How long all threads of a process have run (the scheduler's own count)."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e6


def _status_mib(pid: int, key: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{key}:\s+(\d+) kB", status, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"no {key} in the status of {pid}")
    return int(found[1]) / 1024
