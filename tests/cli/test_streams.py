"""`logs` and `events`: what was, what comes, and streams that break."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command, interrupt, until_line
from tests.harness import Agent

Program = Callable[..., Path]


@pytest.fixture
def hello(agent: Agent, paas: Command, program: Program) -> str:
    paas.ok("deploy", program())
    return "hello"


async def logged(agent: Agent, *paths: str) -> None:
    """Let the app write a line for each path, and wait until the API knows them."""
    for path in paths:
        await agent.get("hello", path)
    deployment_id = (await agent.app("hello"))["current"]["deployment_id"]
    await agent.until(lambda: agent.logs(deployment_id), lambda lines: f"asked for {paths[-1]}" in lines)


async def test_logs_show_the_last_lines(agent: Agent, paas: Command, hello: str) -> None:
    await logged(agent, "/one", "/two", "/three")

    lines = paas.ok("logs", hello, "-n", "2").lines

    assert [line.split(" ", 2)[2] for line in lines] == ["asked for /two", "asked for /three"]


async def test_logs_since_leaves_out_what_is_older(agent: Agent, paas: Command, hello: str) -> None:
    await logged(agent, "/one", "/two")
    entries = json.loads(paas.ok("logs", hello, "--json").out)
    last = entries[-1]["timestamp"]

    assert "/two" in paas.ok("logs", hello, "--since", last).out
    assert len(paas.ok("logs", hello, "--since", last).lines) < len(entries)
    assert len(paas.ok("logs", hello, "--since", "5m").lines) == len(entries)


async def test_control_characters_of_a_program_do_not_reach_the_terminal(
    agent: Agent, paas: Command, program: Program
) -> None:
    paas.ok("deploy", program("hello.py", r'print("\x1b]0;owned\x07 \x1b[2J red", flush=True)'))

    out = paas.ok("logs", "hello").out

    assert "owned" in out
    assert "\x1b" not in out
    assert "\x07" not in out


async def test_followed_logs_go_on_after_the_agent_was_killed(
    agent: Agent, paas: Command, hello: str
) -> None:
    process = paas.begin("logs", hello, "-f")
    until_line(process, "listening")
    await agent.get("hello", "/one")
    until_line(process, "asked for /one")

    agent.kill()
    agent.start()
    await logged(agent, "/two")
    until_line(process, "asked for /two")
    await agent.get("hello", "/three")

    assert "asked for /three" in until_line(process, "asked for")
    assert interrupt(process).code == 130


async def test_followed_logs_as_json_are_one_document_a_line(agent: Agent, paas: Command, hello: str) -> None:
    await logged(agent, "/one")

    process = paas.begin("logs", hello, "-f", "-n", "1", "--json")

    assert json.loads(until_line(process, "{"))["message"] == "asked for /one"


async def test_events_of_one_app(agent: Agent, paas: Command, hello: str) -> None:
    await agent.ask("POST", "/api/v1/apps", json={"name": "other"}, expect=201)

    of_app = paas.ok("events", hello).out

    assert "deployment.active  hello" in of_app
    assert "other" not in of_app
    assert "app.created  other" in paas.ok("events").out


async def test_followed_events_come_as_they_happen(agent: Agent, paas: Command, hello: str) -> None:
    process = paas.begin("events", "-f", "-n", "1", "--json")
    first = json.loads(until_line(process, "{"))

    paas.ok("sleep", hello)

    assert json.loads(until_line(process, "sleep_requested"))["seq"] == first["seq"] + 1
    assert interrupt(process).code == 130


async def test_reader_that_leaves_ends_the_command_quietly(agent: Agent, paas: Command, hello: str) -> None:
    process = paas.begin("logs", hello, "-f")
    until_line(process, "listening")
    assert process.stdout is not None
    process.stdout.close()

    await agent.get("hello", "/one")
    await agent.get("hello", "/two")

    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(30) == 1
