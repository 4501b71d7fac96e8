"""environments, releases, promote, rollback."""

import json
from collections.abc import Callable
from pathlib import Path

from tests import git_server
from tests.cli.conftest import Command
from tests.harness import Agent

Program = Callable[..., Path]


async def test_environments_are_made_listed_and_deleted(agent: Agent, paas: Command) -> None:
    await agent.app("hello")

    made = paas.ok("environments", "create", "hello", "staging").lines
    header, *rows = paas.ok("environments", "list", "hello").lines
    asked = paas("environments", "rm", "hello", "staging")
    deleted = paas.ok("environments", "rm", "hello", "staging", "--yes").lines
    again = paas("environments", "rm", "hello", "staging", "--yes")
    kept = paas("environments", "rm", "hello", "production", "--yes")

    url = agent.proxy_url.replace("127.0.0.1", "hello-default-staging.localhost")
    assert made == ["staging of hello is created", url]
    assert header.split() == ["ENVIRONMENT", "STATE", "VERSION", "URL"]
    assert [row.split()[0] for row in rows] == ["production", "development", "staging"]
    assert rows[2].split() == ["staging", "-", "-", url]
    assert (asked.code, "say --yes" in asked.err) == (1, True)
    assert deleted == ["staging of hello is deleted"]
    assert (again.code, "paas environments list hello" in again.err) == (1, True)
    assert (kept.code, "every app has it" in kept.err) == (1, True)


async def test_a_version_goes_to_production_and_back(agent: Agent, paas: Command, program: Program) -> None:
    paas.ok("deploy", program(), "-e", "COLOUR=blue")
    promoted = paas.ok("promote", "hello").lines
    paas.ok("deploy", program("hello.py", "# newer"), "-e", "COLOUR=red")
    paas.ok("promote", "hello", "--from", "development", "--to", "production")
    red = (await agent.get("hello")).text

    back = paas.ok("rollback", "hello").lines
    header, newest, *_ = paas.ok("releases", "hello").lines
    listed = json.loads(paas.ok("releases", "hello", "--json", "-n", "2").out)

    assert "Version 2 of hello, for production" in promoted[0]
    assert promoted[-1].startswith("http://hello-default.localhost:")
    assert (red, (await agent.get("hello")).text) == ("red", "blue")
    assert "Version 5 of hello, for production" in back[0]
    assert header.split() == ["VERSION", "STATE", "ENVIRONMENT", "DEPLOYED", "WHAT", "REASON"]
    assert newest.split()[:3] == ["v5", "active", "production"]
    assert newest.split()[5] == "hello.py"
    assert [each["version"] for each in listed["deployments"]] == [5, 4]
    chosen = paas.ok("rollback", "hello", "v4").lines
    assert "Version 6" in chosen[0]
    assert (await agent.get("hello")).text == "red"


async def test_what_cannot_be_released_is_said(agent: Agent, paas: Command, program: Program) -> None:
    await agent.app("bare")
    paas.ok("deploy", program())

    nothing = paas("promote", "bare")
    no_source = paas("promote", "hello", "--rebuild")
    no_earlier = paas("rollback", "hello")
    no_version = paas("rollback", "hello", "third")

    assert "nothing is current in development" in nothing.err
    assert "no source of it is known" in no_source.err
    assert "no earlier version served in development" in no_earlier.err
    assert "third is no version such as v3" in no_version.err
    assert [each.code for each in (nothing, no_source, no_earlier, no_version)] == [1, 1, 1, 2]
    assert paas.ok("releases", "bare").lines == ["bare has no version yet"]


async def test_what_was_built_from_a_repository_says_its_commit(
    agent: Agent, paas: Command, tmp_path: Path
) -> None:
    app = await agent.app("hello")
    web = "web: exec python3 -m http.server $PORT --bind $HOST\n"
    with git_server.serving(tmp_path / "repositories") as git:
        commit = git.publish("hello.git", {"Procfile": web})
        source = {"url": git.address("hello.git"), "ref": "main"}
        build = await agent.ask(
            "POST",
            "/api/v1/builds",
            json={"app_id": app["id"], "git": source, "deploy": True},
            expect=202,
        )
        built = await agent.until(
            lambda: agent.ask("GET", f"/api/v1/builds/{build['id']}"),
            lambda found: found["ended_at"] is not None,
        )
        await agent.settled(built["deployment_id"])

        rebuilt = paas.ok("promote", "hello", "--rebuild").lines
    _, newest, oldest = paas.ok("releases", "hello").lines

    assert rebuilt[0].endswith("Building the source of what runs in development anew")
    assert newest.split()[:3] == ["v2", "active", "production"]
    assert f"{commit[:7]}, " in newest
    assert f"{commit[:7]} of main, " in oldest
