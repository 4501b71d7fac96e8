"""The examples of Zectre's own pages, run by bash, curl and jq as they stand there.

"Deployments" and "Builds & artifacts" at zectre.com/docs/api: only the address is ours, and the ids.
"""

import asyncio
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import browser, git_server
from tests.containers import SERVE, hull
from tests.harness import Agent, Json
from tests.requirements import require
from tests.system.programs import ON_DEMAND_EXIT

CREATE_APP = """
curl -X POST http://localhost:47080/api/v1/apps \\
  -H 'Content-Type: application/json' \\
  -d '{"name":"my-api","namespace":"default"}'
"""
CREATE_ARTIFACT = """
ARTIFACT_ID=$(curl -sf -X POST http://localhost:47080/api/v1/artifacts \\
  -H 'Content-Type: application/json' \\
  -d '{"name":"my-app-v1.0","content_type":"application/octet-stream"}' \\
  | jq -r .id)
echo $ARTIFACT_ID
"""
# What the example says of its image: it listens at PORT and answers /health.
HEALTHY = SERVE.replace("$TEXT", "$LOG_LEVEL").replace("httpd", "echo well >/tmp/www/health; httpd")
UPLOAD = """
curl -X POST http://localhost:47080/api/v1/artifacts/$ARTIFACT_ID/upload \\
  -H 'Content-Type: application/octet-stream' \\
  --data-binary @./my-app
"""
DEPLOY_TISH = """
curl -X POST http://localhost:47080/api/v1/apps/$APP_ID/deployments \\
-H 'Content-Type: application/json' \\
-d "{
\\"artifact_id\\": \\"$ARTIFACT_ID\\",
\\"process_type\\": \\"tish\\",
\\"replicas\\": 1,
\\"environment\\": \\"development\\",
\\"networking\\": {\\"port\\": 8080}
}"
"""
DEPLOY_DOCKER = """
curl -X POST http://localhost:47080/api/v1/apps/$APP_ID/deployments \\
-H 'Content-Type: application/json' \\
-d '{
"process_type": "docker",
"image": "ghcr.io/myorg/my-api:latest",
"replicas": 2,
"environment": "production",
"resources": {"cpu":"250m","memory":"256Mi"},
"networking": {"port":8080,"health_path":"/health"},
"env": {"LOG_LEVEL":"info"}
}'
"""
POLL = """
# Poll until running
while true; do
D=$(curl -sf http://localhost:47080/api/v1/deployments/$DEPLOY_ID)
echo "$(echo $D | jq -r .status) — $(echo $D | jq -r .tasks_ready)/$(echo $D | jq -r .tasks_total) ready"
[ "$(echo $D | jq -r .status)" != "pending" ] && break
sleep 3
done
"""
LIST_ALL = """
curl "http://localhost:47080/api/v1/deployments?app_id=$APP_ID&sort_order=desc"
"""
LATEST = """
# Get the latest development deployment
DEV_ID=$(curl -sf "http://localhost:47080/api/v1/apps/$APP_ID/deployments?page_size=1" \\
| jq -r '.deployments[0].id')
echo $DEV_ID
"""
PROMOTE = """
curl -X POST http://localhost:47080/api/v1/deployments/$DEV_ID/promote \\
-H 'Content-Type: application/json' \\
-d '{"strategy":"instant","environment":"production"}'
"""
TRIGGER = """
curl -X POST http://localhost:47080/api/v1/apps/$APP_ID/deploy/trigger \\
-H "Authorization: Bearer $TOKEN" \\
-H 'Content-Type: application/json' \\
-d '{"branch":"main","environment":"development"}'
"""
# The page has no example of a delivery; this is how GitHub's own pages sign one.
DELIVERY = """
SIGNATURE=$(printf %s "$BODY" | openssl dgst -sha256 -hmac "$SECRET" | sed 's/.* //')
curl -X POST http://localhost:47080/api/v1/webhooks/github \\
-H 'Content-Type: application/json' \\
-H 'X-GitHub-Event: push' \\
-H 'X-GitHub-Delivery: 72d3162e-cc78-11e3-81ab-4c9367dc0958' \\
-H "X-Hub-Signature-256: sha256=$SIGNATURE" \\
-d "$BODY"
"""
SCALE_TO_3 = """
curl -X PATCH http://localhost:47080/api/v1/deployments/$DEPLOY_ID \\
-H 'Content-Type: application/json' \\
-d '{"spec":{"replicas":3}}'
"""
SCALE_TO_ZERO = """
curl -X PATCH http://localhost:47080/api/v1/deployments/$DEPLOY_ID \\
-H 'Content-Type: application/json' \\
-d '{"spec":{"replicas":0}}'
"""
CANCEL = "curl -X POST http://localhost:47080/api/v1/deployments/$DEPLOY_ID/cancel"
TASKS = "curl http://localhost:47080/api/v1/deployments/$DEPLOY_ID/tasks"
DOWNLOAD = "curl http://localhost:47080/api/v1/artifacts/$ARTIFACT_ID/download"
LOGS = "curl http://localhost:47080/api/v1/deployments/$DEPLOY_ID/logs | jq '.[] | .message'"
STREAM = """
curl -N -H 'Accept: text/event-stream' \\
http://localhost:47080/api/v1/deployments/$DEPLOY_ID/logs/stream
"""
JAVASCRIPT = """
const evtSource = new EventSource(
  `http://localhost:47080/api/v1/deployments/${deploymentId}/logs/stream`
);
evtSource.onmessage = (e) => {
  const entry = JSON.parse(e.data);
  console.log(`[${entry.timestamp}] ${entry.message}`);
};
"""


class Shell:
    """A terminal in which the page's variables are set, one after another."""

    def __init__(self, agent: Agent, folder: Path) -> None:
        self._agent = agent
        self._folder = folder
        self.variables: dict[str, str] = {}

    async def run(self, example: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-euo", "pipefail", "-c", self.ours(example)],
            cwd=self._folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, f"{example}\n{done.stdout}\n{done.stderr}\n{self._agent.log()}"
        return done.stdout

    async def json(self, example: str) -> Json:
        return json.loads(await self.run(example))

    async def lines_until(self, command: list[str], wanted: str) -> list[str]:
        """Follow a program that does not end by itself, until a line holds the wanted text."""
        program = subprocess.Popen(
            [self.ours(word) for word in command],
            env=self.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            async with asyncio.timeout(15):
                return await asyncio.to_thread(_read_until, program, wanted)
        finally:
            program.kill()
            program.communicate()

    def ours(self, example: str) -> str:
        return example.replace(
            "http://localhost:47080", self._agent.api_url.replace("127.0.0.1", "localhost")
        )

    def environment(self) -> Mapping[str, str]:
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self._folder), **self.variables}


def _read_until(program: subprocess.Popen[str], wanted: str) -> list[str]:
    assert program.stdout is not None
    lines: list[str] = []
    for line in program.stdout:
        lines.append(line.rstrip("\n"))
        if wanted in line:
            break
    return lines


@pytest.fixture
def shell(agent: Agent, tmp_path: Path) -> Shell:
    for command in ("bash", "curl", "jq"):
        require(command)
    (tmp_path / "my-app").write_bytes(ON_DEMAND_EXIT)
    return Shell(agent, tmp_path)


async def _deployed(agent: Agent, shell: Shell) -> Json:
    """Go through the examples up to a running deployment, without the poll and its sleeps."""
    shell.variables["APP_ID"] = (await shell.json(CREATE_APP))["id"]
    shell.variables["ARTIFACT_ID"] = (await shell.run(CREATE_ARTIFACT)).strip()
    await shell.json(UPLOAD)
    shell.variables["DEPLOY_ID"] = str((await shell.json(DEPLOY_TISH))["id"])
    return await agent.settled(shell.variables["DEPLOY_ID"])


async def test_the_examples_for_native_apps_work_in_their_order(agent: Agent, shell: Shell) -> None:
    app = await shell.json(CREATE_APP)
    assert (app["name"], app["subdomain"]) == ("my-api", "my-api-default")
    shell.variables["APP_ID"] = app["id"]
    shell.variables["ARTIFACT_ID"] = (await shell.run(CREATE_ARTIFACT)).strip()
    assert (await shell.json(UPLOAD))["size"] == len(ON_DEMAND_EXIT)
    assert (await shell.run(DOWNLOAD)).encode() == ON_DEMAND_EXIT

    answered = await shell.json(DEPLOY_TISH)
    shell.variables["DEPLOY_ID"] = answered["id"]
    assert (answered["status"], answered["version"], answered["environment_slug"]) == (
        "pending",
        1,
        "development",
    )
    assert (answered["tasks_ready"], answered["tasks_total"]) == (0, 1)
    assert answered["spec"]["networking"]["port"] == 8080
    polled = (await shell.run(POLL)).splitlines()
    assert polled[-1] == "running — 1/1 ready"
    assert all(line.startswith("pending — ") for line in polled[:-1])
    assert (await agent.get("my-api")).status == 200

    listed = await shell.json(LIST_ALL)
    assert [found["id"] for found in listed["data"]] == [answered["id"]]
    assert (await shell.run(LATEST)).strip() == answered["id"]

    assert (await shell.json(SCALE_TO_3))["tasks_total"] == 3
    await agent.until(lambda: shell.json(TASKS), lambda found: _states(found).count("running") == 3)

    assert (await shell.json(SCALE_TO_ZERO))["spec"]["replicas"] == 0
    await agent.until_asleep(answered["id"])
    woken = await agent.get("my-api")
    assert woken.status == 200
    assert "Server-Timing" in woken.headers

    cancelled = await shell.json(CANCEL)
    assert (cancelled["id"], cancelled["status"]) == (answered["id"], "cancelled")
    await agent.until(lambda: shell.json(TASKS), lambda found: set(_states(found)) == {"stopped"})


async def test_the_latest_development_deployment_is_promoted_by_the_example(
    agent: Agent, shell: Shell
) -> None:
    deployed = await _deployed(agent, shell)
    before = (await agent.get("my-api")).text
    shell.variables["DEV_ID"] = (await shell.run(LATEST)).strip()

    answered = await shell.json(PROMOTE)

    shell.variables["DEPLOY_ID"] = answered.pop("deployment_id")
    assert answered == {"message": "Deployment created and scheduler notified"}
    assert (await shell.run(POLL)).splitlines()[-1] == "running — 1/1 ready"
    promoted = await agent.deployment(shell.variables["DEPLOY_ID"])
    assert (promoted["version"], promoted["environment_slug"]) == (2, "production")
    assert promoted["spec"]["artifact_id"] == shell.variables["ARTIFACT_ID"]
    assert (await agent.deployment(deployed["id"]))["spec"] == deployed["spec"]
    assert (await agent.get("my-api")).text != before
    assert (await agent.get("my-api-default-development.localhost")).text == before


async def test_the_source_is_deployed_by_the_example_and_by_a_signed_delivery(
    agent: Agent, shell: Shell, tmp_path: Path
) -> None:
    require("openssl")
    app = await shell.json(CREATE_APP)
    program: dict[str, str | bytes] = {"Procfile": "web: ./my-app\n", "my-app": ON_DEMAND_EXIT}
    with git_server.serving(tmp_path / "repositories") as git:
        commit = git.publish("owner/my-api.git", program)
        url = git.address("owner/my-api.git")
        shell.variables |= {"APP_ID": app["id"], "TOKEN": "any", "SECRET": "s3cret"}
        source = {"repository_url": url, "webhook_secret": "s3cret"}
        await agent.ask("PUT", f"/api/v1/apps/{app['id']}/source-config", json=source, expect=201)

        triggered = await shell.json(TRIGGER)
        shell.variables["BODY"] = json.dumps(
            {"ref": "refs/heads/main", "after": commit, "repository": {"clone_url": url}}
        )
        delivered = await shell.json(DELIVERY)

        first = await agent.settled(triggered.pop("deployment_id"))
        build_id = delivered["outcomes"][0]["build_id"]
        build = await agent.until(
            lambda: agent.ask("GET", f"/api/v1/builds/{build_id}"), lambda found: found["deployment_id"]
        )
        second = await agent.settled(build["deployment_id"])
        assert await shell.json(DELIVERY) == delivered
    assert triggered == {"status": "pending", "message": "Deployment created and scheduler notified"}
    assert [(each["version"], each["environment_slug"]) for each in (first, second)] == [
        (1, "development"),
        (2, "development"),
    ]
    assert (await agent.get("my-api")).status == 200


async def test_lists_go_newest_first_and_by_version_cursor(agent: Agent, shell: Shell) -> None:
    first = await _deployed(agent, shell)
    second = await shell.json(DEPLOY_TISH)

    descending = await shell.json(LIST_ALL)
    ascending = await shell.json(LIST_ALL.replace("desc", "asc"))
    page = await shell.json("curl -sf http://localhost:47080/api/v1/apps/$APP_ID/deployments?page_size=1")
    shell.variables["TOKEN"] = page["next_page_token"]
    rest = await shell.json(
        'curl -sf "http://localhost:47080/api/v1/apps/$APP_ID/deployments?page_token=$TOKEN"'
    )

    assert [found["version"] for found in descending["data"]] == [2, 1]
    assert [found["version"] for found in ascending["data"]] == [1, 2]
    assert [found["id"] for found in page["deployments"]] == [second["id"]]
    assert isinstance(page["next_page_token"], str)
    assert [found["id"] for found in rest["deployments"]] == [first["id"]]
    assert not rest["next_page_token"]


async def test_stored_logs_are_read_by_the_example(agent: Agent, shell: Shell) -> None:
    await _deployed(agent, shell)
    pid = (await agent.get("my-api", "/hello")).text

    told = (await shell.run(LOGS)).splitlines()

    assert told[0] == f'"started {pid}"'
    assert "GET /hello" in told[1]


async def test_the_live_log_stream_is_followed_by_the_example(agent: Agent, shell: Shell) -> None:
    await _deployed(agent, shell)

    async with asyncio.TaskGroup() as group:
        following = group.create_task(
            shell.lines_until(["bash", "-c", f"exec {STREAM.strip()}"], "/said-now")
        )
        while not following.done():
            await agent.get("my-api", "/said-now")
            await asyncio.sleep(0.05)
    frames = following.result()

    assert not [line for line in frames if line.startswith("event:")]
    entries = [json.loads(line.removeprefix("data:")) for line in frames if line.startswith("data:")]
    assert "GET /said-now" in entries[-1]["message"]
    assert entries[-1]["timestamp"].endswith("Z")


async def test_the_live_log_stream_is_followed_by_a_browser(agent: Agent, shell: Shell) -> None:
    deployed = await _deployed(agent, shell)

    async with browser.page() as page:
        await page.open(shell.ours("http://localhost:47080/docs"))
        await page.until("location.pathname === '/docs' && document.readyState === 'complete'")
        await page.value(f"const deploymentId = '{deployed['id']}';{shell.ours(JAVASCRIPT)}")
        async with asyncio.timeout(15):
            while not any("GET /said-now" in line for line in page.said):
                await agent.get("my-api", "/said-now")
                await page.value("evtSource.readyState")

    assert page.said[-1].startswith("[20")
    assert page.complaints == []


async def test_the_example_for_images_runs_the_image(tmp_path: Path) -> None:
    async with hull() as ship:
        ship.image(HEALTHY, name="ghcr.io/myorg/my-api:latest")
        shell = Shell(ship.agent, tmp_path)
        shell.variables["APP_ID"] = (await shell.json(CREATE_APP))["id"]

        shell.variables["DEPLOY_ID"] = (await shell.json(DEPLOY_DOCKER))["id"]

        assert (await shell.run(POLL)).splitlines()[-1] == "running \u2014 2/2 ready"
        assert (await ship.agent.get("my-api")).text.strip() == "info"


async def test_a_second_app_of_the_same_name_is_a_conflict(shell: Shell) -> None:
    await shell.run(CREATE_APP)

    assert (await shell.run(f"{CREATE_APP.strip()} -s -o /dev/null -w '%{{http_code}}'")) == "409"


def _states(found: Json) -> list[str]:
    return [task["state"] for task in found["data"]]
