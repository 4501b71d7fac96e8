"""The completion scripts, sourced by the shells themselves."""

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import Command
from tests.harness import REPOSITORY, Agent
from tests.requirements import require

# As if the user had typed the words and pressed Tab.
BASH = """
source "$1"
COMP_WORDS=(paas "${@:2}") COMP_CWORD=$(($# - 1))
_paas_completion paas
printf '%s\\n' "${COMPREPLY[@]}"
"""
# zsh's own completion needs a terminal: these record what it would be given.
ZSH = """
compdef() { : }
compadd() { local name=$argv[-1]; print -l -- ${(P)name} }
_describe() { local name=$argv[3]; print -l -- ${(P)name} }
source "$1"
words=(paas "${@:2}") CURRENT=$#
_paas_completion
"""


def completed(shell: str, script: str, source: Path, agent_url: str, *words: str) -> list[str]:
    """Say what a shell offers for the last of the words."""
    program = source.parent / "paas"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m paas "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        [
            str(require(shell)),
            *(["--norc"] if shell == "bash" else ["-f"]),
            "-c",
            script,
            shell,
            source,
            *words,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={**os.environ, "PATH": f"{source.parent}:{os.environ['PATH']}", "PAAS_API_URL": agent_url},
    )
    return [line.partition(":")[0] for line in done.stdout.splitlines()]


async def test_bash_completes_verbs_options_and_apps(agent: Agent, paas: Command, tmp_path: Path) -> None:
    await agent.app("hello")
    source = tmp_path / "completion.bash"
    source.write_text(paas.ok("completion", "bash").out)

    assert completed("bash", BASH, source, agent.api_url, "dep") == ["deploy"]
    assert completed("bash", BASH, source, agent.api_url, "logs", "--fol") == ["--follow"]
    assert completed("bash", BASH, source, agent.api_url, "wake", "he") == ["hello"]


async def test_zsh_completes_verbs_options_and_apps(agent: Agent, paas: Command, tmp_path: Path) -> None:
    await agent.app("hello")
    source = tmp_path / "completion.zsh"
    source.write_text(paas.ok("completion", "zsh").out)

    assert completed("zsh", ZSH, source, agent.api_url, "dep") == ["deploy"]
    assert completed("zsh", ZSH, source, agent.api_url, "logs", "--fol") == ["--follow"]
    assert completed("zsh", ZSH, source, agent.api_url, "wake", "he") == ["hello"]


async def test_completion_is_silent_without_an_agent(agent: Agent, paas: Command, tmp_path: Path) -> None:
    source = tmp_path / "completion.bash"
    source.write_text(paas.ok("completion", "bash").out)
    agent.kill()

    assert completed("bash", BASH, source, agent.api_url, "wake", "he") == [""]


async def test_bash_completes_the_registries_that_are_known(
    agent: Agent, paas: Command, tmp_path: Path
) -> None:
    login = {"username": "ann", "password": "x"}
    await agent.ask("PUT", "/api/v1/registries/ghcr.io", json=login, expect=201)
    source = tmp_path / "completion.bash"
    source.write_text(paas.ok("completion", "bash").out)

    assert completed("bash", BASH, source, agent.api_url, "registry", "logo") == ["logout"]
    assert completed("bash", BASH, source, agent.api_url, "registry", "logout", "gh") == ["ghcr.io"]
