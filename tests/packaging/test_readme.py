"""What the README tells people to type works as it stands there."""

import asyncio
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from tests.harness import Agent
from tests.requirements import require

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text()


def shell_block(containing: str) -> str:
    (block,) = [block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if containing in block]
    return str(block)


async def test_the_calls_of_the_first_deploy_work_in_order(agent: Agent) -> None:
    require("curl")
    require("jq")
    script = shell_block("ARTIFACT_ID=")
    for usual, here in ((47080, agent.api_url), (47000, agent.proxy_url)):
        script = script.replace(f":{usual}/", f":{urlsplit(here).port}/")

    ran = await asyncio.to_thread(
        subprocess.run,
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}\n{agent.log()}"
    assert "Hello from process" in ran.stdout
    assert "listening on 127.0.0.1:" in ran.stdout


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", README)

    assert [target for target in targets if not (REPOSITORY / target.partition("#")[0]).exists()] == []


def test_every_file_it_names_at_the_top_is_there() -> None:
    folders = re.findall(r"^\| `([a-z]+)/` \|", README, re.MULTILINE)

    assert folders
    assert [folder for folder in folders if not (REPOSITORY / folder).is_dir()] == []
