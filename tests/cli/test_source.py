"""source: what it keeps, what it leaves as it was, and that it shows no secret but a new one, once."""

import json
import subprocess
import sys
from pathlib import Path

from tests import git_server
from tests.cli.conftest import Command
from tests.harness import REPOSITORY, Agent

URL = "https://github.com/owner/name"
TOKEN = "ghp-correct-horse"


async def test_a_source_is_set_changed_shown_and_forgotten(agent: Agent, paas: Command) -> None:
    await agent.app("shop")

    missing = paas("source", "set", "shop", "--branch", "trunk")
    none = paas("source", "show", "shop")
    made = paas.ok("source", "set", "shop", URL, "--previews", "--new-webhook-secret")
    changed = subprocess.run(
        [
            *(sys.executable, "-m", "paas", "source", "set", "shop", "--token-stdin", "--json"),
            *("--branch", "trunk", "--api-url", paas.api_url),
        ],
        input=f"{TOKEN}\n",
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        timeout=60,
    )
    shown = paas.ok("source", "show", "shop")

    assert (missing.code, none.code) == (1, 1)
    assert "it has none yet" in missing.err
    assert "paas source set" in none.err
    secret = next(line for line in made.lines if line.startswith("webhook secret, ")).split()[-1]
    assert len(secret) == 64
    kept = json.loads(changed.stdout)
    assert kept["has_token"] is kept["has_webhook_secret"] is kept["previews"] is True
    assert (kept["repository_url"], kept["branch"]) == (URL, "trunk")
    assert "trunk" in shown.out
    for text in (changed.stdout, changed.stderr, shown.out, agent.log()):
        assert TOKEN not in text
        assert secret not in text

    paas.ok("source", "rm", "shop")
    assert paas("source", "rm", "shop").code == 1


async def test_two_ways_to_say_one_secret_are_refused_before_anything_is_asked(paas: Command) -> None:
    for pair in (("--token-stdin", "--no-token"), ("--token-stdin", "--webhook-secret-stdin")):
        assert "exclude each other" in paas("source", "set", "shop", URL, *pair).err


async def test_a_trigger_shows_the_build_and_the_url(agent: Agent, paas: Command, tmp_path: Path) -> None:
    await agent.app("shop")
    with git_server.serving(tmp_path / "repositories") as git:
        git.publish("owner/shop.git", {"Procfile": "web: python3 -m http.server $PORT\n"})
        refused = paas("trigger", "shop")
        paas.ok("source", "set", "shop", git.address("owner/shop.git"))

        done = paas.ok("trigger", "shop")
        missing = paas("trigger", "shop", "--branch", "no-such-branch")
        again = paas.ok("trigger", "shop", "--skip-build", "--environment", "production", "--json")

    assert "paas source set" in refused.err
    assert any("Building shop, as build" in line for line in done.lines)
    assert done.lines[-1].startswith("http://shop-default")
    assert missing.code == 1
    assert "no-such-branch" in missing.err
    assert json.loads(again.out)["environment_slug"] == "production"
