"""top, and the measurements in ps and status."""

import json
import os
import signal
import subprocess
import sys

from tests import programs
from tests.cli.conftest import Command
from tests.harness import REPOSITORY, Agent

BUSY = {"MEGABYTES": "40", "SECONDS_OF_CPU": "0.2"}


def row(lines: list[str], name: str) -> dict[str, str]:
    """Read one app's row of a table by its headers."""
    header = next(line for line in lines if line.startswith(("APP", "NAME")))
    found = next(line for line in lines if line.split()[0] == name)
    starts = [
        at for at in range(len(header)) if header[at] != " " and (at < 2 or header[at - 2 : at] == "  ")
    ]
    ends = [*starts[1:], None]
    return {
        header[start:end].strip(): found[start:end].strip() for start, end in zip(starts, ends, strict=True)
    }


async def busy(agent: Agent) -> None:
    await agent.deploy("busy", programs.BUSY, env=BUSY, resources={"memory": "256Mi"})
    await agent.get("busy")


async def test_top_looks_once_where_there_is_no_terminal(agent: Agent, paas: Command) -> None:
    await busy(agent)
    await agent.ask("POST", "/api/v1/apps", json={"name": "bare"}, expect=201)

    lines = paas.ok("top").lines

    assert lines[0].startswith("2 apps, 1 without tasks; CPU ")
    shown = row(lines, "busy")
    assert (shown["TASKS"], shown["OPEN"], shown["RESTARTS"], shown["OOM"]) == ("1", "0", "0", "0")
    assert shown["MEMORY"].endswith("MiB")
    assert float(shown["MEMORY"].split()[0]) >= 40
    assert not any(line.startswith("bare") for line in lines)


async def test_top_as_json_is_the_document_of_the_api(agent: Agent, paas: Command) -> None:
    await busy(agent)

    (app,) = json.loads(paas.ok("top", "--json").out)["apps"]

    assert (app["name"], app["traffic"]["requests"]) == ("busy", 1)


async def test_top_on_a_terminal_goes_on_until_ctrl_c(agent: Agent) -> None:
    await busy(agent)
    own, others = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "paas", "top", "-d", "0.2"],
        stdin=others,
        stdout=others,
        stderr=others,
        env={**os.environ, "TERM": "xterm", "PAAS_API_URL": agent.api_url},
        cwd=REPOSITORY,
    )
    os.close(others)

    shown = b""
    while shown.count(b"1 apps") < 3:
        shown += os.read(own, 65536)
    process.send_signal(signal.SIGINT)

    assert process.wait(10) == 130
    assert shown.count(b"\x1b[H") >= 3
    os.close(own)


async def test_ps_and_status_show_what_was_measured(agent: Agent, paas: Command) -> None:
    await busy(agent)

    shown = row(paas.ok("ps").lines, "busy")
    status = paas.ok("status", "busy").out

    assert (shown["REQUESTS"], shown["RESTARTS"], shown["OOM"]) == ("1", "0", "0")
    assert shown["MEMORY"].endswith("MiB")
    assert shown["CPU"].endswith(" s")
    assert "1 (1 2xx)" in status
    assert "of memory now" in status
    assert "metrics" in json.loads(paas.ok("status", "busy", "--json").out)
