"""From a folder with a Dockerfile to an app that sleeps and wakes: agent, engine and command are real."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command, commanding, interrupt, until_line
from tests.containers import Hull, hull
from tests.contexts import BASE, SERVE, archive, fill, load_base
from tests.harness import Json

SLOW = f"{BASE}RUN echo begun; sleep 600\n"


@pytest.fixture
async def afloat() -> AsyncIterator[Hull]:
    async with hull() as afloat:
        load_base(afloat.socket)
        yield afloat


@pytest.fixture
async def paas(afloat: Hull) -> AsyncIterator[Command]:
    with commanding(afloat.agent.api_url) as command:
        yield command


async def ask_build(afloat: Hull, dockerfile: str) -> Json:
    app = await afloat.agent.app("hello")
    return await afloat.agent.ask(
        "POST",
        f"/api/v1/builds?app_id={app['id']}",
        data=archive(dockerfile),
        headers={"Content-Type": "application/gzip"},
        expect=202,
    )


async def read(afloat: Hull, build: Json) -> Json:
    return await afloat.agent.ask("GET", f"/api/v1/builds/{build['id']}")


async def said(afloat: Hull, build: Json) -> list[str]:
    entries = await afloat.agent.ask("GET", f"/api/v1/builds/{build['id']}/logs")
    return [entry["message"] for entry in entries]


async def container_of(afloat: Hull, build: Json) -> str:
    """Wait until a step that says "begun" runs, and name its container."""
    lines = await afloat.agent.until(lambda: said(afloat, build), lambda lines: "begun" in lines)
    return next(line.split()[-1] for line in reversed(lines) if "Running in" in line)


async def is_gone(afloat: Hull, container: str) -> bool:
    try:
        await asyncio.to_thread(afloat.engine, "GET", f"/containers/{container}/json")
    except ValueError:
        return True
    return False


async def settled(afloat: Hull, build: Json) -> Json:
    return await afloat.agent.until(
        lambda: read(afloat, build), lambda found: found["ended_at"] is not None, limit=60
    )


async def test_folder_with_a_dockerfile_becomes_an_app_that_sleeps_and_wakes(
    afloat: Hull, paas: Command, tmp_path: Path
) -> None:
    files = {"Dockerfile": SERVE, "index.html": "built\n", ".dockerignore": "junk\n", "junk/a": "x" * 10**6}
    folder = fill(tmp_path / "site", files)

    result = await asyncio.to_thread(paas.ok, "deploy", folder)

    assert "       Step 4/4 : CMD" in result.out
    assert result.lines[-1].startswith("http://site-default.localhost")
    assert (await afloat.agent.get("site")).body == b"built\n"
    (build,) = (await afloat.agent.ask("GET", "/api/v1/builds"))["data"]
    assert (build["state"], build["context_size"] < 10_000) == ("succeeded", True)
    deployments = await afloat.agent.ask("GET", f"/api/v1/deployments?app_id={build['app_id']}")
    (deployment,) = deployments["data"]
    assert deployment["spec"]["image"] == build["image_id"]
    await afloat.agent.ask("POST", f"/api/v1/deployments/{deployment['id']}/sleep")
    await afloat.agent.until_asleep(deployment["id"])
    assert (await afloat.agent.get("site")).body == b"built\n"


async def test_failed_build_ends_the_command_with_its_step_and_deploys_nothing(
    afloat: Hull, paas: Command, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "site", {"Dockerfile": f"{BASE}RUN echo oh no; exit 9\n"})

    result = await asyncio.to_thread(paas, "deploy", folder)

    assert result.code == 1
    assert "cannot build site: step 2 of 2, RUN echo oh no; exit 9: exit code 9" in result.err
    assert "       oh no" in result.lines
    assert (await afloat.agent.ask("GET", "/api/v1/deployments"))["total"] == 0


async def test_ctrl_c_leaves_the_build_and_cancel_ends_it(
    afloat: Hull, paas: Command, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "site", {"Dockerfile": SLOW})
    process = paas.begin("deploy", folder)
    await asyncio.to_thread(until_line, process, "begun")

    result = await asyncio.to_thread(interrupt, process)

    (build,) = (await afloat.agent.ask("GET", "/api/v1/builds"))["data"]
    assert (result.code, build["state"]) == (130, "running")
    assert f"paas builds cancel {build['id']}" in result.err
    container = await container_of(afloat, build)
    follower = paas.begin("builds", "logs", "-f", build["id"][:8])
    await asyncio.to_thread(until_line, follower, "begun")

    await asyncio.to_thread(paas.ok, "builds", "cancel", build["id"])

    await afloat.agent.until(lambda: is_gone(afloat, container), bool)
    assert (await read(afloat, build))["state"] == "cancelled"
    _, followed = await asyncio.to_thread(follower.communicate, timeout=60)
    assert follower.returncode == 1
    assert "cancelled on request" in followed


async def test_builds_are_listed_and_shown(afloat: Hull, paas: Command) -> None:
    build = await ask_build(afloat, f"{BASE}RUN echo said\n")
    await settled(afloat, build)
    short = build["id"][:8]

    listed = await asyncio.to_thread(paas.ok, "builds")
    shown = await asyncio.to_thread(paas.ok, "builds", "show", short)
    log = await asyncio.to_thread(paas.ok, "builds", "logs", short)
    raw = await asyncio.to_thread(paas.ok, "builds", "ls", "hello", "--json")

    assert listed.lines[1].split()[:3] == [short, "succeeded", "hello"]
    assert f"paas/hello:{build['id']}" in shown.out
    assert "said" in log.lines
    assert [each["id"] for each in json.loads(raw.out)["data"]] == [build["id"]]


async def test_builds_take_turns(afloat: Hull) -> None:
    first, second = await ask_build(afloat, SLOW), await ask_build(afloat, f"{BASE}RUN true\n")
    await container_of(afloat, first)

    assert (await read(afloat, second))["state"] == "queued"

    await afloat.agent.ask("POST", f"/api/v1/builds/{first['id']}/cancel")
    assert (await settled(afloat, second))["state"] == "succeeded"


async def test_build_that_a_killed_agent_left_is_done_again(afloat: Hull) -> None:
    build = await ask_build(afloat, f"{BASE}RUN echo begun; sleep 3\nRUN echo done\n")
    container = await container_of(afloat, build)

    afloat.agent.kill()

    await afloat.agent.until(lambda: is_gone(afloat, container), bool)
    afloat.agent.start()
    assert (await settled(afloat, build))["state"] == "succeeded"
    lines = await said(afloat, build)
    assert lines.count("The agent was restarted: the build begins again.") == 1
    assert lines.count("done") == 1


async def test_limits_come_from_the_configuration(afloat: Hull) -> None:
    restart_with(afloat, "context_bytes = 400\nimage_bytes = 1000\n")
    large = await settled(afloat, await ask_build(afloat, f"{BASE}RUN true\n"))
    answer = await refused(afloat, archive(BASE, {"noise": "".join(map(chr, range(40, 1000)))}))
    restart_with(afloat, "timeout_secs = 6\n")
    late = await settled(afloat, await ask_build(afloat, SLOW))

    assert large["reason"].startswith("cannot keep the image: it has ")
    assert (answer.status, answer.json["code"]) == (413, "TOO_LARGE")
    assert late["reason"] == "cannot build: not done after 6 s, in step 2 of 2, RUN echo begun; sleep 600"


def restart_with(afloat: Hull, settings: str) -> None:
    """Start the agent anew with other settings of builds than before."""
    afloat.agent.kill()
    config = afloat.agent.state / "config.toml"
    others, _, _ = config.read_text().partition("[builds]\n")
    config.write_text(f"{others}[builds]\n{settings}")
    afloat.agent.start()


async def test_broken_context_and_unknown_dockerfile_fail_the_build(afloat: Hull) -> None:
    app = await afloat.agent.app("hello")
    made = []
    for query, content in (("", b"no archive"), ("&dockerfile=Other", archive(BASE))):
        path = f"/api/v1/builds?app_id={app['id']}{query}"
        headers = {"Content-Type": "application/gzip"}
        made.append(await afloat.agent.ask("POST", path, data=content, headers=headers, expect=202))

    ended = [await settled(afloat, build) for build in made]

    assert [build["state"] for build in ended] == ["failed", "failed"]
    assert ended[0]["reason"] == "cannot build: the source is not an archive"
    assert ended[1]["reason"] == "cannot build: there is no Other in the context"


async def test_native_program_of_a_folder_with_a_dockerfile_can_be_run(
    afloat: Hull, paas: Command, tmp_path: Path
) -> None:
    procfile = "web: python3 -m http.server $PORT --bind $HOST\n"
    folder = fill(tmp_path / "site", {"Dockerfile": "FORM x\n", "Procfile": procfile, "a.txt": "native"})

    await asyncio.to_thread(paas.ok, "deploy", folder, "--native")

    assert (await afloat.agent.get("site", "/a.txt")).body == b"native"


async def refused(afloat: Hull, content: bytes) -> Any:
    app = await afloat.agent.app("hello")
    return await afloat.agent.api(
        "POST",
        f"/api/v1/builds?app_id={app['id']}",
        data=content,
        headers={"Content-Type": "application/gzip"},
    )
