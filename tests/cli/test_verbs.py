"""The verbs for an app that is there: looking, steering, ending."""

import json
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.harness import Agent

Program = Callable[..., Path]


@pytest.fixture
def hello(agent: Agent, paas: Command, program: Program) -> str:
    paas.ok("deploy", program())
    return "hello"


async def deployment(agent: Agent, name: str = "hello") -> str:
    return str((await agent.app(name))["current"]["deployment_id"])


async def test_ps_lists_the_apps_as_a_table(agent: Agent, paas: Command, hello: str) -> None:
    await agent.ask("POST", "/api/v1/apps", json={"name": "bare", "namespace": "team"}, expect=201)

    header, *rows = paas.ok("ps").lines

    assert header.split("  ")[0] == "NAME"
    bare, app = (row.split() for row in rows)
    assert (bare[0], bare[1]) == ("team/bare", "-")
    assert (app[0], app[2], app[3]) == ("hello", "v1", "1/1")
    assert app[-1].startswith("http://hello-default.localhost:")


async def test_ps_reads_every_page(agent: Agent, paas: Command) -> None:
    for number in range(105):
        await agent.ask("POST", "/api/v1/apps", json={"name": f"app{number}"}, expect=201)

    assert len(paas.ok("ps").lines) == 106
    assert len(json.loads(paas.ok("ps", "--json").out)["data"]) == 105


async def test_status_ends_with_the_url(agent: Agent, paas: Command, hello: str) -> None:
    lines = paas.ok("status", hello).lines

    assert lines[0] in ("hello is running", "hello is idle")
    assert any(line.split()[:2] == ["version", "v1"] for line in lines)
    assert lines[-1].startswith("http://hello-default.localhost:")


async def test_sleep_waits_until_nothing_runs_and_wake_until_it_answers(
    agent: Agent, paas: Command, hello: str
) -> None:
    asleep = paas.ok("sleep", hello)

    assert asleep.lines[0] == "hello is asleep"
    assert await agent.tasks_running_now() == []
    assert (await agent.app("hello"))["current"]["activity"] == "asleep"

    awake = paas.ok("wake", hello)

    assert awake.lines[0].startswith("hello is awake, in ")
    assert len(await agent.tasks(await deployment(agent), "running")) == 1
    assert paas.ok("wake", hello).lines[0] == "hello was awake"


async def test_wake_of_an_app_that_crashes_says_why(agent: Agent, paas: Command, program: Program) -> None:
    flag = agent.state / "broken"
    paas.ok("deploy", program("frail.py", f'if os.path.exists({str(flag)!r}): sys.exit("no disk")'))
    paas.ok("sleep", "frail")
    flag.touch()

    result = paas("wake", "frail")

    assert result.code == 1
    assert "Error: cannot wake frail: " in result.err
    assert "no disk" in result.err


async def test_scale_waits_for_the_tasks(agent: Agent, paas: Command, hello: str) -> None:
    assert paas.ok("scale", hello, "web=3").lines[0] == "hello has 3 tasks"
    assert len(await agent.tasks(await deployment(agent), "running")) == 3

    assert paas.ok("scale", hello, "0").lines[0] == "hello has 0 tasks; it is asleep"
    assert json.loads(paas.ok("scale", hello, "2", "--json").out)["spec"]["replicas"] == 2


async def test_restart_replaces_the_tasks(agent: Agent, paas: Command, hello: str) -> None:
    (before,) = await agent.tasks(await deployment(agent), "running")

    paas.ok("restart", hello)

    (after,) = await agent.tasks(await deployment(agent), "running")
    assert after["id"] != before["id"]


async def test_stopped_app_stays_down_until_it_is_restarted(agent: Agent, paas: Command, hello: str) -> None:
    assert paas.ok("stop", hello).lines == ["hello is stopped"]

    assert await agent.tasks_running_now() == []
    assert (await agent.get("hello")).status != 200
    assert paas.ok("stop", hello).lines == ["hello was not running"]

    assert "http://hello-default" in paas.ok("restart", hello).lines[-1]
    assert (await agent.get("hello")).status == 200


async def test_stop_ends_every_environment(agent: Agent, paas: Command, program: Program) -> None:
    paas.ok("deploy", program())
    paas.ok("deploy", program(), "--environment", "production")

    answers = json.loads(paas.ok("stop", "hello", "--yes", "--json").out)

    assert {answer["environment_slug"] for answer in answers} == {"development", "production"}
    assert {answer["state"] for answer in answers} == {"stopped"}
    assert await agent.tasks_running_now() == []
    assert " in production, " in paas.ok("restart", "hello").out or (
        (await agent.app("hello"))["current"]["environment"] == "production"
    )


async def test_rm_wants_yes_where_nobody_can_be_asked(agent: Agent, paas: Command, hello: str) -> None:
    refused = paas("rm", hello)

    assert refused.code == 1
    assert "--yes" in refused.err
    assert (await agent.api("GET", "/api/v1/apps/default/hello")).status == 200

    assert paas.ok("rm", hello, "--yes").lines == ["hello is deleted"]
    assert (await agent.api("GET", "/api/v1/apps/default/hello")).status == 404


async def test_rm_asks_on_a_terminal(agent: Agent, paas: Command, hello: str) -> None:
    assert "nothing was done" in paas.on_terminal("rm", hello, typed="n\n")
    assert "Interrupted" in paas.on_terminal("rm", hello, typed="\x04")
    assert (await agent.api("GET", "/api/v1/apps/default/hello")).status == 200

    assert "hello is deleted" in paas.on_terminal("rm", hello, typed="y\n")
    assert (await agent.api("GET", "/api/v1/apps/default/hello")).status == 404


async def test_colours_are_for_terminals_and_for_those_who_want_them(
    agent: Agent, paas: Command, hello: str
) -> None:
    for arguments in (("ps",), ("status", hello), ("status", "nothing")):
        assert "\x1b[" in paas.on_terminal(*arguments)
        assert "\x1b[" not in paas.on_terminal(*arguments, NO_COLOR="1")
        assert "\x1b[" not in paas(*arguments).out


async def test_open_starts_the_browser_and_prints_the_url(
    agent: Agent, paas: Command, hello: str, tmp_path: Path
) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "xdg-open"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.new && mv {opened}.new {opened}\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    paas.environment["PATH"] = f"{tmp_path}:{os.environ['PATH']}"

    url = paas.ok("open", hello).lines[-1]

    async def text() -> str:
        return opened.read_text().strip() if opened.exists() else ""

    assert await agent.until(text, bool) == url


@pytest.mark.parametrize(
    "arguments",
    [("ps",), ("status", "hello"), ("logs", "hello"), ("events",), ("wake", "hello"), ("restart", "hello")],
)
async def test_json_is_one_document(agent: Agent, paas: Command, hello: str, arguments: list[str]) -> None:
    assert json.loads(paas.ok(*arguments, "--json").out)
    assert json.loads(paas.ok("--json", *arguments).out)


async def test_unknown_app_is_named(agent: Agent, paas: Command) -> None:
    result = paas("status", "team/nothing")

    assert result.code == 1
    assert "team/nothing" in result.err
    assert json.loads(paas("status", "nothing", "--json").err)["code"] == "APP_NOT_FOUND"


async def test_agent_that_is_not_there_is_said_with_what_to_do(agent: Agent, paas: Command) -> None:
    agent.kill(signal.SIGTERM)

    result = paas("ps")

    assert result.code == 1
    assert f"no agent answers at {agent.api_url}: connection refused" in result.err
    assert "paas serve" in result.err
