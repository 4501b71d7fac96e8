"""`paas deploy`: what people see, what scripts read, and how it ends."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command, commanding, interrupt, until_line
from tests.harness import REPOSITORY, Agent

# Runs its arguments, and says how much memory that took at most, in KiB.
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
Program = Callable[..., Path]


async def test_deploy_shows_the_steps_and_ends_with_the_url(
    agent: Agent, paas: Command, program: Program
) -> None:
    result = paas.ok("deploy", program())

    assert "-----> Created hello" in result.lines
    assert any("is ready, in" in line for line in result.lines)
    port = agent.proxy_url.rpartition(":")[2]
    assert result.lines[-1].rstrip("/") == f"http://hello-default.localhost:{port}"
    assert "\x1b" not in result.out + result.err
    assert (await agent.get("hello")).status == 200


async def test_second_deploy_is_a_new_version_with_its_options(
    agent: Agent, paas: Command, program: Program
) -> None:
    paas.ok("deploy", program())

    result = paas.ok(
        *("deploy", program(), "-e", "COLOUR=blue=ish", "--env", "EMPTY=", "--replicas", "2"),
        *("--idle-timeout", "5m", "--health-path", "/", "--memory", "64Mi", "--max-runtime", "2h"),
        *("--freeze-after", "1m", "--no-sleep", "--json"),
    )

    deployment = json.loads(result.out)
    spec = deployment["spec"]
    assert (deployment["version"], deployment["status"]) == (2, "running")
    assert spec["env"] == {"COLOUR": "blue=ish", "EMPTY": ""}
    assert (spec["replicas"], spec["idle_timeout_secs"], spec["max_runtime_secs"]) == (2, 300, 7200)
    assert (spec["networking"]["health_path"], spec["resources"]["memory"]) == ("/", "64Mi")
    assert spec["idle"] == {"freeze_after_secs": 60, "stop_after_secs": None}
    assert spec["cold_start_enabled"] is False
    assert (await agent.get("hello")).body == b"blue=ish"


async def test_deploy_by_tcp_ends_with_its_address(agent: Agent, paas: Command, program: Program) -> None:
    first = paas.ok("deploy", program(), "--tcp")
    port = int(first.lines[-1].removeprefix("tcp://localhost:"))

    again = paas.ok("deploy", program(), "--proxy-port", str(port + 1))
    opened = paas.ok("open", "hello")

    assert again.lines[-1] == opened.lines[-1] == f"tcp://localhost:{port + 1}"
    assert (await agent.app("hello"))["tcp_address"] == f"localhost:{port + 1}"
    refused = paas("deploy", program(), "--proxy-port", "1")
    assert refused.code == 1
    assert "proxy.tcp_first_port" in refused.err


async def test_folder_with_a_procfile_is_packed(agent: Agent, paas: Command, tmp_path: Path) -> None:
    folder = tmp_path / "My Site"
    (folder / "public").mkdir(parents=True)
    (folder / "Procfile").write_text("web: python3 -m http.server $PORT --bind $HOST --directory public\n")
    (folder / "public" / "index.html").write_text("welcome")
    (folder / "public" / "start.html").symlink_to("index.html")

    result = paas.ok("deploy", folder, "--namespace", "team")

    assert "//my-site-team.localhost" in result.lines[-1]
    assert (await agent.get("my-site-team.localhost", "/start.html")).body == b"welcome"


async def test_failed_deploy_shows_the_log_and_the_reason(
    agent: Agent, paas: Command, program: Program
) -> None:
    broken = program("broken.py", 'print("cannot find the database", flush=True)', "sys.exit(3)")

    result = paas("deploy", broken)

    assert result.code == 1
    assert "cannot find the database" in result.err
    assert "Error: cannot deploy version 1 of broken: " in result.err
    assert "http://" not in result.out


async def test_failed_deploy_is_json_for_a_program(agent: Agent, paas: Command, program: Program) -> None:
    result = paas("deploy", program("broken.py", "sys.exit(3)"), "--json")

    assert result.code == 1
    assert json.loads(result.out)["status"] == "failed"
    assert json.loads(result.err.splitlines()[-1])["code"] == "DEPLOYMENT_FAILED"


async def test_what_the_api_refuses_is_said_with_its_hint(
    agent: Agent, paas: Command, program: Program
) -> None:
    result = paas("deploy", program(), "--memory", "lots")

    assert result.code == 1
    assert "'lots'" in result.err
    assert "Hint: " in result.err


async def test_ctrl_c_detaches_and_the_deployment_goes_on(
    agent: Agent, paas: Command, program: Program
) -> None:
    gate = agent.state / "gate"
    slow = program("slow.py", f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)")
    process = paas.begin("deploy", slow)
    until_line(process, "starts")

    result = interrupt(process)

    assert result.code == 130
    assert "detached from version 1 of slow" in result.err
    gate.touch()
    deployment_id = (await agent.app("slow"))["current"]["deployment_id"]
    assert (await agent.settled(deployment_id))["status"] == "running"


async def test_deploy_goes_on_when_the_agent_is_killed_and_comes_back(
    agent: Agent, paas: Command, program: Program
) -> None:
    gate = agent.state / "gate"
    slow = program("slow.py", f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)")
    process = paas.begin("deploy", slow)
    until_line(process, "starts")

    agent.kill()
    agent.start()
    gate.touch()
    line = until_line(process, "http://")

    assert "//slow-default.localhost" in line
    assert process.wait(30) == 0


async def test_upload_bar_is_for_terminals_only(agent: Agent, paas: Command, program: Program) -> None:
    assert "\x1b[" in paas.on_terminal("deploy", program())
    assert "\x1b[3" not in paas.on_terminal("deploy", program(), NO_COLOR="1")


async def test_upload_of_any_size_takes_little_memory(agent: Agent, paas: Command, tmp_path: Path) -> None:
    folder_size = 128 * 1024**2
    folder = tmp_path / "big"
    folder.mkdir()
    with (folder / "hole").open("wb") as file:
        file.truncate(folder_size)
    (folder / "Procfile").write_text("web: python3 -m http.server $PORT --bind $HOST\n")

    result = subprocess.run(
        [sys.executable, "-c", MEASURED, sys.executable, "-m", "paas", "deploy", str(folder)],
        env={**os.environ, "PAAS_API_URL": agent.api_url},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert int(result.stdout.split()[-1]) * 1024 < folder_size / 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--target", "x"), "--target is for what is built"),
        (("--native", "--build-arg", "A=1"), "--build-arg is for what is built"),
        (("--dockerfile", "Other"), "there is no Other in "),
    ],
)
def test_options_of_a_build_are_refused_where_nothing_is_built(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "Procfile").write_text("web: true\n")

    with commanding("http://127.0.0.1:9") as paas:
        result = paas("deploy", tmp_path, *arguments)

    assert result.code == 2
    assert words in result.err
