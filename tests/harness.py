"""A real agent as a process of its own, asked over real sockets, killed and started again."""

import asyncio
import contextlib
import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from tests.processes import is_launcher, processes_of

REPOSITORY = Path(__file__).resolve().parent.parent
PATIENCE_SECS = 30.0
FIRST_PORT, PORTS_EACH, PORT_RANGES = 20000, 200, 50
TCP_PORTS = 20  # of these, for the proxy
T = TypeVar("T")
Json = Any  # what an API answers is untyped until a test looks at it


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(slots=True)
class Agent:
    """One state directory, and the agent process that holds it at the moment."""

    state: Path
    api_url: str
    proxy_url: str
    flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    uid: int | None = None  # of another user than the test's, without privileges
    process: subprocess.Popen[str] | None = None
    session: aiohttp.ClientSession | None = None

    # The process

    def start(self) -> None:
        """Start the agent and wait until it listens."""
        with (self.state / "agent.log").open("a") as log:
            as_user = () if self.uid is None else _as_user(self.uid)
            self.process = subprocess.Popen(
                [
                    *as_user,
                    *(sys.executable, "-m", "paas", "serve", "--state", str(self.state)),
                    *("--config", str(self.state / "config.toml")),
                    *("--api", self.api_url.removeprefix("http://")),
                    *("--proxy", self.proxy_url.removeprefix("http://")),
                    *self.flags,
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=REPOSITORY,
                env={**os.environ, **self.environment},
            )
        assert self.process.stdout is not None
        for wanted in ("api", "proxy"):
            line = self.process.stdout.readline()
            assert line.startswith(wanted), f"the agent did not start:\n{self.log()}"
            setattr(self, f"{wanted}_url", line.split()[1])

    def log(self) -> str:
        return (self.state / "agent.log").read_text()

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send the agent a signal and wait for its end; tasks go on."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_SECS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    # The API

    async def api(self, method: str, path: str, **request: Json) -> Answer:
        assert self.session is not None
        async with self.session.request(method, self.api_url + path, **request) as response:
            return Answer(response.status, response.headers, await response.read())

    async def ask(self, method: str, path: str, *, expect: int = 200, **request: Json) -> Json:
        """Ask the API and return the JSON of the expected answer."""
        answer = await self.api(method, path, **request)
        assert answer.status == expect, f"{method} {path}: {answer.status} {answer.text}"
        return answer.json if answer.body else None

    async def app(self, name: str) -> Json:
        """Find an app, or make it."""
        found = await self.api("GET", f"/api/v1/apps/default/{name}")
        if found.status == 200:
            return found.json
        return await self.ask("POST", "/api/v1/apps", json={"name": name, "namespace": "default"}, expect=201)

    async def upload(self, program: Path | bytes, name: str = "program") -> str:
        made = await self.ask(
            "POST",
            "/api/v1/artifacts",
            json={"name": name, "content_type": "application/octet-stream"},
            expect=201,
        )
        data = program if isinstance(program, bytes) else program.read_bytes()
        await self.ask(
            "POST",
            f"/api/v1/artifacts/{made['id']}/upload",
            data=io.BytesIO(data),
            headers={"Content-Type": "application/octet-stream"},
        )
        return str(made["id"])

    async def begin(self, name: str, program: Path | bytes, **spec: Json) -> Json:
        """Ask for a deployment and return it as first answered."""
        app = await self.app(name)
        artifact = await self.upload(program, program.name if isinstance(program, Path) else "program")
        return await self.ask(
            "POST",
            f"/api/v1/apps/{app['id']}/deployments",
            json={"artifact_id": artifact, **spec},
            expect=201,
        )

    async def deploy(self, name: str, program: Path | bytes, **spec: Json) -> Json:
        """Deploy and wait until it serves or failed; a failure is the test's."""
        settled = await self.settled((await self.begin(name, program, **spec))["id"])
        assert settled["status"] == "running", f"{settled}\n{self.log()}"
        return settled

    async def deployment(self, deployment_id: str) -> Json:
        return await self.ask("GET", f"/api/v1/deployments/{deployment_id}")

    async def settled(self, deployment_id: str) -> Json:
        return await self.until(
            lambda: self.deployment(deployment_id), lambda found: found["status"] != "pending"
        )

    async def until_activity(self, deployment_id: str, *activities: str) -> Json:
        return await self.until(
            lambda: self.deployment(deployment_id), lambda found: found["activity"] in activities
        )

    async def until_asleep(self, deployment_id: str) -> Json:
        """Wait until it sleeps and nothing of it runs any more."""
        await self.until_activity(deployment_id, "asleep")
        return await self.until(
            lambda: self.tasks(deployment_id),
            lambda found: all(task["state"] in ("pending", "stopped", "failed") for task in found),
        )

    async def tasks(self, deployment_id: str, *states: str) -> Json:
        """List the tasks of a deployment, newest first, in the given states or all."""
        found = await self.ask("GET", f"/api/v1/deployments/{deployment_id}/tasks?page_size=100")
        return [task for task in found["data"] if not states or task["state"] in states]

    async def tasks_running_now(self) -> list[int]:
        """Find the processes of this agent's tasks, but for launchers that wait for work."""
        return [pid for pid in processes_of(self.state) if not is_launcher(pid)]

    async def logs(self, deployment_id: str) -> list[str]:
        entries = await self.ask("GET", f"/api/v1/deployments/{deployment_id}/logs")
        return [entry["message"] for entry in entries]

    async def until(
        self, read: Callable[[], Awaitable[T]], holds: Callable[[T], bool], limit: float = PATIENCE_SECS
    ) -> T:
        """Read again and again until a condition holds; fails after the limit with what was read."""
        end = time.monotonic() + limit
        while True:
            value = await read()
            if holds(value):
                return value
            assert time.monotonic() < end, f"still {value}\n{self.log()[-4000:]}"
            await asyncio.sleep(0.02)

    # Traffic

    async def get(self, host: str, path: str = "/", *, method: str = "GET", **request: Json) -> Answer:
        """Send a request through the proxy: `host` is an app's name or a whole host."""
        assert self.session is not None
        name = host if "." in host else f"{host}-default.localhost"
        headers = {**request.pop("headers", {}), "Host": name}
        async with self.session.request(
            method, self.proxy_url + path, headers=headers, **request
        ) as response:
            return Answer(response.status, response.headers, await response.read())


def _as_user(uid: int) -> tuple[str, ...]:
    """Become a user who may read everything, for checkouts and interpreters in private homes."""
    reading = "dac_read_search"
    return (
        *("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"),
        *(f"--inh-caps=+{reading}", f"--ambient-caps=+{reading}"),
    )


@contextlib.contextmanager
def own_ports() -> Iterator[tuple[int, int]]:
    """Lend a range of ports that no other test uses at the same time, also while its agent is dead.

    They are none of those that the kernel gives to whoever asks for any.
    """
    folder = Path(tempfile.gettempdir(), "paas-test-ports")
    folder.mkdir(exist_ok=True)
    for number in range(PORT_RANGES):
        with (folder / str(number)).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            first = FIRST_PORT + number * PORTS_EACH
            yield first, first + PORTS_EACH - 1
            return
    raise AssertionError("all port ranges are in use")


@contextlib.asynccontextmanager
async def running(
    *flags: str, environment: Mapping[str, str] | None = None, uid: int | None = None, settings: str = ""
) -> AsyncIterator[Agent]:
    """Run an agent for a test; every process of it and of its apps is gone afterwards.

    `settings` are further tables of its configuration.
    """
    # Not below pytest's own folder: hosted apps run as another user, who may not enter that.
    state = Path(tempfile.mkdtemp(prefix="paas-test-"))
    state.chmod(0o755)
    with own_ports() as (first, last):
        (state / "config.toml").write_text(
            f"[tasks]\nfirst_port = {first + 2}\nlast_port = {last - TCP_PORTS}\n"
            f"[proxy]\ntcp_first_port = {last - TCP_PORTS + 1}\ntcp_last_port = {last}\n{settings}"
        )
        if uid is not None:
            os.chown(state, uid, uid)
        urls = (f"http://127.0.0.1:{first}", f"http://127.0.0.1:{first + 1}")
        async with _running(Agent(state, *urls, flags, environment or {}, uid)) as agent:
            yield agent


@contextlib.asynccontextmanager
async def _running(agent: Agent) -> AsyncIterator[Agent]:
    state = agent.state
    try:
        agent.start()
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=90)
        ) as agent.session:
            yield agent
    finally:
        if agent.process is not None:
            agent.kill()
        for pid in processes_of(state):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(state, ignore_errors=True)
