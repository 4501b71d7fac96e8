"""kill -9 of the agent while sources, promotions and deliveries come; then everything is counted.

CRASH_ROUNDS sets how many deaths (default 15), CRASH_SEED which moments.
"""

import asyncio
import os
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests.git_server import GitServer, serving
from tests.github.payloads import HOOK, Payload, signed
from tests.harness import Agent, Json, running
from tests.processes import processes_of
from tests.requirements import require
from tests.system.archives import archive

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "15"))
SEED = int(os.environ.get("CRASH_SEED", "4"))
LONGEST_LIFE_SECS = 1.5
PAUSE_SECS = 0.5  # of each kind between two requests, at most
PATIENCE_SECS = 120.0
SECRET = "s3cret"
REPOSITORY = "owner/shop.git"
VARIANTS = 4  # of the source: some requests send what was built before
SETTINGS = """
[builds]
at_once = 2
[retention]
deployments_per_app = 100000
builds_per_app = 100000
"""


@dataclass(slots=True)
class Sweep:
    """Asks for everything that can be cut off, and remembers what was acknowledged."""

    agent: Agent
    git: GitServer
    random: random.Random
    app_ids: dict[str, str] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    artifact_id: str | None = None
    unanswered: Counter[str] = field(default_factory=Counter)
    builds: set[str] = field(default_factory=set)  # acknowledged, by id
    promotions: set[str] = field(default_factory=set)  # likewise, ids of deployments
    deployed: dict[str, str] = field(default_factory=dict)  # by key of the request
    delivered: dict[str, str] = field(default_factory=dict)  # the first answer's build by delivery

    async def prepare(self) -> None:
        for name in ("archives", "repository", "hooked"):
            self.app_ids[name] = (await self.agent.app(name))["id"]
        for number in range(VARIANTS):
            files = {name: data.decode() for name, data in source(number).items()}
            self.commits.append(self.git.publish(REPOSITORY, files))
        await self.agent.ask(
            "PUT",
            f"/api/v1/apps/{self.app_ids['hooked']}/source-config",
            json={"repository_url": self.git.address(REPOSITORY), "branch": "main", "webhook_secret": SECRET},
            expect=201,
        )

    async def live(self, seconds: float) -> None:
        """Let all ask at once for a while, and kill the agent amid it."""
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for kind in (self.send_archive, self.name_commit, self.promote, self.deploy, self.deliver):
                group.create_task(self._again_and_again(kind, over))
            await asyncio.sleep(seconds)
            self.agent.kill()
            over.set()

    async def _again_and_again(self, kind: Callable[[], Awaitable[None]], over: asyncio.Event) -> None:
        while not over.is_set():
            try:
                await kind()
            except (aiohttp.ClientError, OSError):
                self.unanswered[kind.__name__] += 1
            await asyncio.sleep(self.random.uniform(0, PAUSE_SECS))  # or more would wait than may

    async def send_archive(self) -> None:
        build = await self.agent.ask(
            "POST",
            f"/api/v1/builds?app_id={self.app_ids['archives']}&deploy=true&environment=production",
            data=archive(source(self.random.randrange(VARIANTS))),
            headers={"Content-Type": "application/gzip"},
            expect=202,
        )
        self.builds.add(build["id"])

    async def name_commit(self) -> None:
        body = {
            "app_id": self.app_ids["repository"],
            "git": {"url": self.git.address(REPOSITORY), "ref": self.random.choice(self.commits)},
            "deploy": True,
        }
        build = await self.agent.ask("POST", "/api/v1/builds", json=body, expect=202)
        self.builds.add(build["id"])

    async def promote(self) -> None:
        path = f"/api/v1/deployments?app_id={self.app_ids['repository']}&page_size=1"
        newest = (await self.agent.ask("GET", path))["data"]
        if not newest:
            return
        answer = await self.agent.api(
            "POST", f"/api/v1/deployments/{newest[0]['id']}/promote", json={"environment": "staging"}
        )
        assert answer.status in {201, 409}, answer.text  # what failed, or was made here, is not promoted
        if answer.status == 201:
            self.promotions.add(answer.json["deployment_id"])

    async def deploy(self) -> None:
        """Deploy what a build made; asked again with the same key until it is acknowledged."""
        if self.artifact_id is None:
            path = f"/api/v1/builds?app_id={self.app_ids['archives']}&state=succeeded&page_size=1"
            for build in (await self.agent.ask("GET", path))["data"]:
                self.artifact_id = build["artifact_id"]
            return
        key = f"key-{len(self.deployed)}"
        answer = await self.agent.ask(
            "POST",
            f"/api/v1/apps/{self.app_ids['archives']}/deployments",
            json={"artifact_id": self.artifact_id, "environment": "staging"},
            headers={"Idempotency-Key": key},
            expect=201,
        )
        self.deployed[key] = answer["id"]

    async def deliver(self) -> None:
        """Deliver a push as GitHub does: the same one again until it is acknowledged, and once after."""
        push = self.push(f"delivery-{len(self.delivered)}")
        for _ in range(2):
            answer = await self.agent.api("POST", HOOK, data=push.body.encode(), headers=push.headers)
            assert answer.status in {200, 202}, answer.text
            for outcome in answer.json["outcomes"]:
                if outcome.get("build_id"):
                    assert (
                        self.delivered.setdefault(push.delivery, outcome["build_id"]) == outcome["build_id"]
                    )

    def push(self, delivery: str) -> Payload:
        document = {
            "ref": "refs/heads/main",
            "after": self.commits[len(self.delivered) % VARIANTS],
            "repository": {"clone_url": self.git.address(REPOSITORY)},
        }
        return signed(SECRET, "push", document, delivery=delivery)

    def rows(self, statement: str, *values: object) -> list[tuple[Json, ...]]:
        with closing(sqlite3.connect(self.agent.state / "paas.db")) as database:
            return database.execute(statement, values).fetchall()


def source(number: int) -> dict[str, bytes]:
    serve = b'web: exec busybox httpd -f -p "$HOST:$PORT"\n'
    return {"Procfile": serve, "index.html": f"variant {number}\n".encode()}


@pytest.fixture
async def sweep(tmp_path: Path) -> AsyncIterator[Sweep]:
    require("busybox")
    with serving(tmp_path / "repositories") as git:
        async with running(settings=SETTINGS) as agent:
            sweep = Sweep(agent, git, random.Random(SEED))
            await sweep.prepare()
            yield sweep


async def test_what_was_acknowledged_ends_as_documented_and_once(sweep: Sweep) -> None:
    for _ in range(ROUNDS):
        await sweep.live(sweep.random.uniform(0.02, LONGEST_LIFE_SECS))
        sweep.agent.start()
    await until_quiet(sweep)

    state_of: dict[str, str] = dict(sweep.rows("SELECT id, state FROM builds"))
    acknowledged = sweep.builds | set(sweep.delivered.values())
    assert acknowledged - state_of.keys() == set()
    assert sweep.rows("SELECT id, reason FROM builds WHERE state = 'failed'") == []
    assert {state_of[each] for each in sweep.builds} == {"succeeded"}
    assert {state_of[each] for each in sweep.delivered.values()} <= {"succeeded", "cancelled"}
    assert sum(sweep.unanswered.values()) >= len(state_of) - len(acknowledged)
    assert each_made_one_deployment(sweep, state_of) == []
    deployments = {each for (each,) in sweep.rows("SELECT id FROM deployments")}
    archives = sweep.app_ids["archives"]
    ((keyed,),) = sweep.rows(
        "SELECT count(*) FROM deployments WHERE environment = 'staging' AND app_id = ?", archives
    )
    assert sweep.promotions | set(sweep.deployed.values()) <= deployments
    assert len(set(sweep.deployed.values())) == len(sweep.deployed)
    assert keyed - len(sweep.deployed) in {0, 1}  # of the key that nobody asked for again
    deliveries = {each for (each,) in sweep.rows("SELECT id FROM deliveries")}
    assert sweep.delivered.keys() <= deliveries
    assert len(set(sweep.delivered.values())) == len(sweep.delivered)
    assert len(sweep.builds) > ROUNDS / 2, sweep.unanswered
    assert sweep.delivered
    await assert_nothing_is_left(sweep)


async def until_quiet(sweep: Sweep) -> None:
    async def busy() -> list[tuple[Json, ...]]:
        return await asyncio.to_thread(
            sweep.rows,
            "SELECT id, state FROM builds WHERE state NOT IN ('succeeded', 'failed', 'cancelled')"
            " UNION SELECT id, state FROM deployments WHERE state = 'pending'",
        )

    await sweep.agent.until(busy, lambda found: not found, PATIENCE_SECS)


def each_made_one_deployment(sweep: Sweep, state_of: dict[str, str]) -> list[str]:
    """Name the builds whose rollout is not recorded exactly once, on both sides."""
    named: dict[str, str] = dict(sweep.rows("SELECT id, deployment_id FROM builds"))
    made = Counter(
        build_id
        for build_id, environment in sweep.rows("SELECT build_id, environment FROM deployments")
        if build_id is not None and environment != "staging"
    )
    return [
        build_id
        for build_id, state in state_of.items()
        if made[build_id] != (state == "succeeded") or (named[build_id] is None) is (state == "succeeded")
    ]


async def assert_nothing_is_left(sweep: Sweep) -> None:
    state = sweep.agent.state

    async def strange() -> list[str]:
        try:
            return await asyncio.to_thread(lambda: list(leftovers(sweep, state)))
        except FileNotFoundError as error:
            return [f"{error.filename} went meanwhile"]

    await sweep.agent.until(strange, lambda found: found == [], PATIENCE_SECS)


def leftovers(sweep: Sweep, state: Path) -> Iterator[str]:
    """Name what is on disk or runs and that no row wants."""
    kept = {sha for (sha,) in sweep.rows("SELECT sha256 FROM artifacts WHERE sha256 IS NOT NULL")}
    yield from (f"artifacts/{name}" for name in sorted(kept ^ names(state / "artifacts")))
    builds = {each for (each,) in sweep.rows("SELECT id FROM builds")}
    logs_and_folders = {name.removesuffix(".log") for name in names(state / "builds")}
    yield from (f"builds/{name}" for name in sorted(logs_and_folders - builds))
    yield from (str(path.relative_to(state)) for path in (state / "builds").glob("*/workspace"))
    yield from (str(path.relative_to(state)) for path in state.glob("**/*.new"))
    wanted = {each for (each,) in sweep.rows("SELECT id FROM tasks WHERE state NOT IN ('stopped', 'failed')")}
    for pid in processes_of(state):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"launch.sh" not in line and not any(each.encode() in environment for each in wanted):
            yield f"process {pid}: {line!r}"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
