"""env and secrets: the verbs, with a real agent; a secret is shown nowhere."""

import json
import subprocess
import sys
from pathlib import Path

from tests import programs
from tests.cli.conftest import Command
from tests.harness import REPOSITORY, Agent

SECRET = "opensesame-of-the-cave"
REFUSED = (
    (("secrets", "set", "hello", "KEY=opensesame"), "a command line is no place for a secret"),
    (("secrets", "set", "hello", "A", "B"), "several values"),
    (("env", "set", "hello", "PORT=80"), "PORT"),
    (("env", "rm", "hello", "NONE"), "no variable of hello is called NONE"),
    (("env", "list", "nobody"), "paas ps"),
    (("env", "import", "hello", "/nowhere/.env"), "cannot read /nowhere/.env"),
)


def given(paas: Command, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it with something on standard input."""
    return subprocess.run(
        [sys.executable, "-m", "paas", *arguments, "--api-url", paas.api_url],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        timeout=60,
    )


def values(paas: Command, *arguments: str) -> dict[str, str | None]:
    document = json.loads(paas.ok(*arguments, "--json").out)
    return {each["name"]: each["value"] for each in document["variables"]}


async def test_variables_are_set_listed_exported_imported_and_forgotten(
    agent: Agent, paas: Command, tmp_path: Path
) -> None:
    await agent.app("hello")
    assert paas.ok("env", "list", "hello").lines == ["No variables yet: paas env set hello K=V"]

    assert paas.ok("env", "set", "hello", "A=1", "B=two words").lines == ["A, B of hello are set"]
    assert paas.ok("env", "set", "hello", "A=3", "--environment", "staging").lines == [
        "A of hello in staging is set"
    ]
    header, *rows = paas.ok("env", "list", "hello").lines
    assert header.split() == ["NAME", "VALUE", "CHANGED"]
    assert [row.split()[:2] for row in rows] == [["A", "1"], ["B", "two"]]
    assert values(paas, "env", "list", "hello", "--environment", "staging") == {"A": "3"}

    exported = paas.ok("env", "export", "hello").out
    assert exported == "A=1\nB='two words'\n"
    (tmp_path / ".env").write_text(f"{exported}# more\nexport C=4\n")
    paas.ok("env", "rm", "hello", "A", "B")
    assert values(paas, "env", "list", "hello") == {}
    paas.ok("env", "import", "hello", tmp_path / ".env")
    assert values(paas, "env", "list", "hello") == {"A": "1", "B": "two words", "C": "4"}


async def test_a_versions_own_variables_are_named_by_its_number(agent: Agent, paas: Command) -> None:
    deployment = await agent.deploy("hello", programs.ECHO, env={"A": "own"})

    for name in ("v1", "1", deployment["id"]):
        assert values(paas, "env", "list", "hello", "--deployment", name) == {"A": "own"}
    paas.ok("env", "set", "hello", "A=else", "--deployment", "v1")

    await agent.until(lambda: agent.get("hello"), lambda answer: answer.json["env"]["A"] == "else")
    missing = paas("env", "list", "hello", "--deployment", "v9")
    assert (missing.code, "no version of hello is called v9" in missing.err) == (1, True)
    assert "paas releases hello" in missing.err


async def test_secrets_are_read_from_standard_input_or_asked_for_and_shown_nowhere(
    agent: Agent, paas: Command
) -> None:
    await agent.app("hello")

    done = given(paas, f"{SECRET}\n", "secrets", "set", "hello", "KEY")
    shown = paas.on_terminal("secrets", "set", "hello", "OTHER", replies=[("OTHER: ", f"{SECRET}\n")])
    file = given(paas, f"THIRD={SECRET}\nFOURTH='{SECRET}\n2'", "secrets", "import", "hello", "-")
    paas.ok("env", "set", "hello", "OPEN=1")

    assert (done.returncode, done.stdout, done.stderr) == (0, "KEY of hello is set\n", "")
    assert "OTHER of hello is set" in shown
    assert file.returncode == 0, file.stderr
    listed = paas.ok("secrets", "list", "hello")
    assert [line.split()[:2] for line in listed.lines[1:]] == [
        [name, "(secret)"] for name in ("FOURTH", "KEY", "OTHER", "THIRD")
    ]
    every = [shown, listed.out, paas.ok("env", "list", "hello").out, paas.ok("env", "export", "hello").out]
    assert not any(SECRET in text for text in every)
    assert paas.ok("secrets", "rm", "hello", "KEY", "OTHER").lines == ["KEY, OTHER of hello are forgotten"]


async def test_what_cannot_be_done_is_told(agent: Agent, paas: Command) -> None:
    await agent.app("hello")

    for arguments, said in REFUSED:
        refused = paas(*arguments)
        assert (refused.code, said in refused.err) == (1, True), refused
        assert "opensesame" not in refused.err + refused.out


async def test_the_key_is_changed_while_apps_run_and_sleep(agent: Agent, paas: Command) -> None:
    deployment = await agent.deploy("hello", programs.ECHO, env={"A": "1"})
    await agent.ask("POST", f"/api/v1/deployments/{deployment['id']}/sleep")
    await agent.until_asleep(deployment["id"])
    before = (agent.state / "secrets.key").read_text()

    assert paas.ok("secrets", "rotate-key").lines == [
        "1 values are encrypted with a new key; back it up",
    ]

    assert (agent.state / "secrets.key").read_text() != before
    assert (await agent.get("hello")).json["env"]["A"] == "1"
    agent.kill()
    agent.start()
    assert values(paas, "env", "list", "hello", "--deployment", "v1") == {"A": "1"}
