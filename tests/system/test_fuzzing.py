"""Requests that nobody thought of, made from the API's own description, against a real agent."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness import Agent, Json

SETTINGS = Path(__file__).with_name("schemathesis.toml")
LIMIT_SECS = 300
SPARE = 3  # of everything, as some requests delete what they name

PROGRAM = b"""#!/bin/sh
exec python3 -m http.server --bind "$HOST" "$PORT"
"""

# Paths are made of these ids as often as of any others; what deletes is left to find its own.
BINDINGS = """
[[operations]]
exclude-method = "DELETE"
parameters = {{ {bindings} }}
"""


async def test_no_request_makes_the_agent_stumble(agent: Agent, tmp_path: Path) -> None:
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(settings_with(await furnish(agent)))

    ended = await asyncio.to_thread(fuzz, agent.api_url, settings)

    assert ended.returncode == 0, ended.stdout
    assert re.search(r"[1-9]\d* generated, \d+ passed", ended.stdout), ended.stdout
    assert [line for line in agent.log().splitlines() if " error " in line] == []


def fuzz(url: str, settings: Path) -> subprocess.CompletedProcess[str]:
    """Run schemathesis, which exits with 0 when every answer was as the document says."""
    program = Path(sys.executable).with_name("schemathesis")
    return subprocess.run(
        [program, "--config-file", settings, "run", "--no-color", f"{url}/openapi.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=settings.parent,
        timeout=LIMIT_SECS,
        check=False,
    )


async def furnish(agent: Agent) -> Mapping[str, Sequence[str]]:
    """Make some of everything that can be named in a path, and return the ids by parameter."""
    ids: dict[str, list[str]] = {}
    for number in range(SPARE):
        deployment = await agent.deploy(f"furnished-{number}", PROGRAM)
        tasks = await agent.tasks(deployment["id"])
        build = await agent.ask(
            "POST",
            f"/api/v1/builds?app_id={deployment['app_id']}",
            data=b"",
            headers={"Content-Type": "application/gzip"},
            expect=202,
        )
        login = {"username": "ann", "password": "secret"}
        await agent.ask("PUT", f"/api/v1/registries/r{number}.example", json=login, expect=201)
        made: Json = {
            "app_id": deployment["app_id"],
            "deployment_id": deployment["id"],
            "artifact_id": deployment["spec"]["artifact_id"],
            "task_id": tasks[0]["id"],
            "build_id": build["id"],
            "host": f"r{number}.example",
            "namespace": "default",
            "name": f"furnished-{number}",
            "subdomain": f"furnished-{number}-default",
        }
        for name, value in made.items():
            ids.setdefault(name, []).append(value)
    return ids


def settings_with(ids: Mapping[str, Sequence[str]]) -> str:
    words = [SETTINGS.read_text()]
    bindings = []
    for name, values in ids.items():
        words.append(f"[dictionaries.{name}]\nvalues = {json.dumps(values)}\n")
        bindings.append(f'"path.{name}" = {{ dictionary = "{name}", probability = 0.5 }}')
    words.append(BINDINGS.format(bindings=", ".join(bindings)))
    return "\n".join(words)
