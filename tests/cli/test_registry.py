"""registry: the verbs, on a terminal and in scripts; the password is shown nowhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.harness import REPOSITORY, Agent

PASSWORD = "correct-horse-battery"


def login(paas: Command, host: str, *more: str, given: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    """Log in as scripts do: the password comes on standard input."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "paas", "registry", "login", host, "-u", "ann", "--password-stdin"),
            *("--api-url", paas.api_url, *more),
        ],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        timeout=60,
    )


async def test_a_script_logs_in_looks_and_logs_out(agent: Agent, paas: Command) -> None:
    done = login(paas, "ghcr.io", given=f"{PASSWORD}\n")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "images of ghcr.io are pulled as ann\n"
    header, row = paas.ok("registry", "ls").lines
    assert header.split() == ["HOST", "USER", "CHANGED"]
    assert row.split()[:2] == ["ghcr.io", "ann"]

    assert paas.ok("registry", "logout", "ghcr.io").lines == ["ghcr.io is forgotten"]
    assert paas.ok("registry", "ls").lines == ["No registries yet: paas registry login HOST"]
    again = paas("registry", "logout", "ghcr.io")
    assert again.code == 1
    assert "no user and password are kept for the registry ghcr.io" in again.err
    assert "paas registry ls" in again.err


async def test_docker_hub_is_one_registry_under_all_its_names(agent: Agent, paas: Command) -> None:
    assert login(paas, "https://index.docker.io/v1/").returncode == 0
    assert login(paas, "docker.io").returncode == 0

    assert len(paas.ok("registry", "ls").lines) == 2
    assert paas.ok("registry", "logout", "index.docker.io").lines == ["docker.io is forgotten"]


async def test_a_terminal_is_asked_and_does_not_show_the_password(agent: Agent, paas: Command) -> None:
    replies = [("User: ", "ann\n"), ("Password: ", f"{PASSWORD}\n")]

    shown = paas.on_terminal("registry", "login", "ghcr.io", replies=replies)

    assert "images of ghcr.io are pulled as ann" in shown
    assert "ghcr.io" in paas.ok("registry", "ls").out
    assert PASSWORD not in shown


@pytest.mark.parametrize(("options", "missing"), [((), "-u USER"), (("-u", "ann"), "--password-stdin")])
async def test_where_nobody_can_be_asked_it_says_what_to_give(
    agent: Agent, paas: Command, options: tuple[str, ...], missing: str
) -> None:
    result = paas("registry", "login", "ghcr.io", *options)

    assert result.code == 1
    assert f"Hint: say {missing}" in result.err


async def test_json_is_what_the_api_answers(agent: Agent, paas: Command) -> None:
    kept = json.loads(login(paas, "ghcr.io", "--json").stdout)

    assert set(kept) == {"host", "username", "created_at", "updated_at"}
    for line in ("registry ls --json", "registry --json ls", "--json registry ls"):
        assert json.loads(paas.ok(*line.split()).out)["data"] == [kept]
    assert json.loads(paas.ok("registry", "logout", "ghcr.io", "--json").out) == kept


@pytest.mark.parametrize(
    ("host", "given"), [("registry", PASSWORD), ("ghcr.io", ""), ("ghcr.io", "x" * 20_000)]
)
async def test_what_the_api_refuses_is_said_without_the_password(
    agent: Agent, paas: Command, host: str, given: str
) -> None:
    done = login(paas, host, given=given)

    assert done.returncode == 1
    assert done.stderr.startswith("Error: cannot ")
    assert not given or given not in done.stderr


async def test_a_password_that_is_no_text_is_refused(agent: Agent, paas: Command, tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"\xff\xfe")
    with (tmp_path / "password").open() as given:
        done = subprocess.run(
            [sys.executable, "-m", "paas", "registry", "login", "ghcr.io", "-u", "ann", "--password-stdin"],
            stdin=given,
            capture_output=True,
            text=True,
            check=False,
            cwd=REPOSITORY,
            timeout=60,
        )

    assert (done.returncode, done.stderr) == (1, "Error: cannot read the password: it is not UTF-8\n")
