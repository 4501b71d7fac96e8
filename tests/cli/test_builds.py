"""`paas builds`: of repositories and archives, listed and shown."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.git_server import GitServer, serving
from tests.harness import Agent, Json
from tests.requirements import require

PROCFILE = "web: exec python3 -m http.server $PORT --bind $HOST\n"


@pytest.fixture
def git(tmp_path: Path) -> Iterator[GitServer]:
    require("git")
    with serving(tmp_path / "repositories") as server:
        yield server


async def built(agent: Agent, git: GitServer, **body: object) -> Json:
    app = await agent.app("shop")
    source = {"url": git.address("team/shop.git"), "ref": "main", "path": "web"}
    build = await agent.ask(
        "POST", "/api/v1/builds", json={"app_id": app["id"], "git": source, **body}, expect=202
    )
    path = f"/api/v1/builds/{build['id']}"
    return await agent.until(lambda: agent.ask("GET", path), lambda found: found["ended_at"] is not None)


async def test_builds_are_listed_and_shown_with_their_source(
    agent: Agent, paas: Command, git: GitServer
) -> None:
    commit = git.publish("team/shop.git", {"web/Procfile": PROCFILE})
    first = await built(agent, git, deploy=True, environment="production")
    again = await built(agent, git)
    failed = await built(agent, git, recipe="cobol")

    listed = paas.ok("builds")
    shown = paas.ok("builds", "show", first["id"][:8])
    shown_again = paas.ok("builds", "show", again["id"][:8])
    one_state = paas.ok("builds", "ls", "shop", "--state", "failed")

    rows = [line.split()[:5] for line in listed.lines[1:]]
    source = f"shop@{commit[:8]}"
    assert rows == [
        [failed["id"][:8], "failed", "shop", f"team/{source}", "cobol"],
        [again["id"][:8], "succeeded", "shop", f"team/{source}", "procfile"],
        [first["id"][:8], "succeeded", "shop", f"team/{source}", "procfile"],
    ]
    facts = dict(line.strip().split(maxsplit=1) for line in shown.lines[1:] if "deployed as" not in line)
    assert facts["source"] == f"{git.address('team/shop.git')} at main"
    assert (facts["commit"], facts["folder"], facts["environment"]) == (commit, "web", "production")
    assert (facts["recipe"], facts["artifact"]) == ("procfile", first["artifact_id"])
    assert f"deployed as  {first['deployment_id']}" in shown.out
    assert f"build {first['id']}" in shown_again.out
    assert [line.split()[0] for line in one_state.lines[1:]] == [failed["id"][:8]]
