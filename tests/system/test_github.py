"""From GitHub to a URL: its own example deliveries, a real Git server and agent, and kills in between."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import aiohttp
import pytest

from tests import git_server
from tests.git_server import GitServer
from tests.github import server as github_server
from tests.github.payloads import HOOK, PROPOSED, PUSHED, REPOSITORY, Payload, examples, signed
from tests.github.server import TOKEN, GitHub
from tests.harness import Agent, Json, running

SECRET = "s3cret"
PATIENCE_SECS = 60.0
GITHUB_WAITS_SECS = 10.0
SERVER = """#!/usr/bin/env python3
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"TEXT")
http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Answer).serve_forever()
"""


@dataclass(frozen=True, slots=True)
class Place:
    """An agent with one app, whose repository is on a Git server."""

    agent: Agent
    git: GitServer
    github: GitHub
    app: Json

    @property
    def url(self) -> str:
        return self.git.address(f"{REPOSITORY}.git")

    def publish(self, text: str, branch: str = "master") -> str:
        """Commit a program that answers with a text."""
        return publish(self.git, text, branch)

    async def send(self, payload: Payload) -> Json:
        """Deliver, and give what follows, in the time after which GitHub gives a delivery up."""
        began = monotonic()
        # On a connection of its own: the agent at the other end of an older one may have been killed.
        async with (
            aiohttp.ClientSession(self.agent.api_url) as session,
            session.post(HOOK, data=payload.body, headers=payload.headers) as response,
        ):
            answer = await response.json()
            assert response.status in (200, 202), answer
        assert monotonic() - began < GITHUB_WAITS_SECS
        (outcome,) = answer["outcomes"]
        return outcome

    async def until_build(self, outcome: Json, *states: str) -> Json:
        return await self.agent.until(
            lambda: self.agent.ask("GET", f"/api/v1/builds/{outcome['build_id']}"),
            lambda found: found["state"] in states,
            PATIENCE_SECS,
        )

    async def built(self, outcome: Json) -> Json:
        """Wait for the build of a delivery, and for what it deploys."""
        build = await self.until_build(outcome, "succeeded", "failed", "cancelled")
        assert build["state"] == "succeeded", build
        return await self.agent.settled(build["deployment_id"])

    async def comments(self) -> list[str]:
        return [comment.texts[-1] for comment in self.github.comments]

    async def until_told(self, commit: str, *states: str) -> None:
        """Wait until GitHub was told these states of a commit, each once."""

        async def told() -> list[str]:
            return self.github.states_of(commit)

        await self.agent.until(told, lambda found: found == [*states])

    def push(self, commit: str) -> Payload:
        document = {"ref": "refs/heads/master", "after": commit, "repository": {"clone_url": self.url}}
        return signed(SECRET, "push", document)


def publish(git: GitServer, text: str, branch: str = "master") -> str:
    files = {"Procfile": "web: python3 server.py\n", "server.py": SERVER.replace("TEXT", text)}
    return git.publish(f"{REPOSITORY}.git", files, branch=branch)


@pytest.fixture
def git(tmp_path: Path) -> Iterator[GitServer]:
    with git_server.serving(tmp_path / "repositories") as server:
        server.token = TOKEN
        yield server


@pytest.fixture
async def place(git: GitServer) -> AsyncIterator[Place]:
    with github_server.serving(REPOSITORY) as github:
        async with running(settings=f'[github]\napi_url = "{github.url}"\n') as agent:
            app = await agent.app("shop")
            place = Place(agent, git, github, app)
            source = {
                "repository_url": place.url,
                "branch": "master",
                "token": TOKEN,
                "webhook_secret": SECRET,
                "previews": True,
            }
            await agent.ask("PUT", f"/api/v1/apps/{app['id']}/source-config", json=source, expect=201)
            yield place


async def test_examples_of_github_become_versions_and_previews(place: Place) -> None:
    pushed, proposed = place.publish("pushed"), place.publish("proposed", "changes")
    replacements = {"https://github.com": place.git.url, PUSHED: pushed, PROPOSED: proposed}
    payloads = examples(SECRET, replacements)
    push = next(each for each in payloads if each.event == "push" and "refs/heads/master" in each.body)
    by_action = {each.action: each for each in payloads if each.event == "pull_request"}

    version = await place.built(await place.send(push))
    assert version["environment_slug"] == "development"
    assert (await place.agent.get("shop")).text == "pushed"
    await place.until_told(pushed, "pending", "success")

    preview = await place.built(await place.send(by_action["opened"]))
    host = "shop-default-pr-2.localhost"
    assert (await place.agent.get(host)).text == "proposed"
    assert (preview["spec"]["cold_start_enabled"], preview["spec"]["idle_timeout_secs"]) == (True, 60)
    await place.agent.ask("POST", f"/api/v1/deployments/{preview['id']}/sleep")
    await place.agent.until_asleep(preview["id"])
    assert (await place.agent.get(host)).text == "proposed"

    await place.until_told(proposed, "pending", "success")
    await place.agent.until(
        place.comments, lambda found: len(found) == 1 and f"is at http://{host}" in found[0]
    )
    closed = await place.send(by_action["closed"])
    assert (closed["action"], closed["environment"]) == ("delete_environment", "pr-2")
    await place.agent.until(
        lambda: place.agent.deployment(preview["id"]), lambda found: found["status"] == "cancelled"
    )
    await place.agent.until(lambda: place.agent.get(host), lambda answer: answer.status == 404)
    assert (await place.agent.get("shop")).text == "pushed"

    await place.agent.until(place.comments, lambda found: len(found) == 1 and "gone" in found[0])
    assert place.github.states_of(pushed) == ["pending", "success"]
    assert place.github.states_of(proposed) == ["pending", "success"]
    log = place.agent.log()
    assert TOKEN not in log
    assert SECRET not in log


async def test_what_was_acknowledged_before_a_kill_is_deployed_once(place: Place) -> None:
    for number, stage in enumerate(("queued", "running", "succeeded"), start=1):
        payload = place.push(place.publish(f"version {number}"))
        outcome = await place.send(payload)
        if stage != "queued":  # that is where the answer leaves it
            await place.until_build(outcome, stage, "succeeded")

        place.agent.kill()
        place.agent.start()

        assert await place.send(payload) == outcome
        assert (await place.built(outcome))["version"] == number
        assert (await place.agent.get("shop")).text == f"version {number}"
    listed = await place.agent.ask("GET", f"/api/v1/builds?app_id={place.app['id']}")
    assert listed["total"] == 3
    versions = await place.agent.ask("GET", f"/api/v1/deployments?app_id={place.app['id']}")
    assert versions["total"] == 3


async def test_a_trigger_waits_for_its_deployment_and_can_skip_the_build(place: Place) -> None:
    path = f"/api/v1/apps/{place.app['id']}/deploy/trigger"
    place.publish("first")
    made = await place.agent.ask("POST", path, json={}, expect=201)
    assert (made["status"], made["message"]) == ("pending", "Deployment created and scheduler notified")
    first = await place.agent.settled(made["deployment_id"])
    place.publish("second")

    again = await place.agent.ask(
        "POST", path, json={"skip_build": True, "environment": "production"}, expect=201
    )

    second = await place.agent.settled(again["deployment_id"])
    assert second["environment_slug"] == "production"
    assert second["spec"]["artifact_id"] == first["spec"]["artifact_id"]
    assert (await place.agent.get("shop")).text == "first"
    gone = await place.agent.ask("POST", path, json={"branch": "no-such-branch"}, expect=422)
    assert "no-such-branch" in gone["error"]
