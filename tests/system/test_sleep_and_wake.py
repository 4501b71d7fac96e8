"""The main job, from outside: deploy a program, call it, leave it alone, call it again."""

import asyncio
import time

from tests.harness import Agent, Json
from tests.system.programs import EXITS, LATE_HEALTH, ON_DEMAND_EXIT, SLOW


async def test_an_idle_app_stops_and_the_next_request_wakes_it(agent: Agent) -> None:
    deployed = await agent.deploy("hello", ON_DEMAND_EXIT)
    first = await agent.get("hello")
    await _until_asleep_by_itself(agent, deployed["id"])

    woken = await agent.get("hello")

    assert (first.status, woken.status) == (200, 200)
    assert first.body != woken.body
    assert woken.headers["Server-Timing"].startswith("wake;dur=")
    assert "Server-Timing" not in first.headers
    now = await agent.deployment(deployed["id"])
    assert now["activity"] in ("running", "idle")
    assert now["wakes"]["count"] == 1


async def test_two_hundred_clients_of_a_sleeper_share_one_start(agent: Agent) -> None:
    deployed = await agent.deploy("busy", SLOW, idle_timeout_secs=60)
    await agent.ask("POST", f"/api/v1/deployments/{deployed['id']}/sleep")
    await agent.until_asleep(deployed["id"])
    before = len(await agent.tasks(deployed["id"]))

    answers = await asyncio.gather(*(agent.get("busy") for _ in range(200)))

    assert [answer.status for answer in answers] == [200] * 200
    assert len(await agent.tasks(deployed["id"], "running")) == 1
    assert len(await agent.tasks(deployed["id"])) == before


async def test_every_host_of_a_deployment_answers(agent: Agent) -> None:
    deployed = await agent.deploy("hello", ON_DEMAND_EXIT)
    preview = deployed["preview_url"].removeprefix("http://").partition(":")[0]

    assert (await agent.get("hello-default.localhost")).status == 200
    assert (await agent.get(preview)).status == 200
    assert (await agent.get("HELLO-default.localhost:1234")).status == 200
    assert (await agent.get("other-default.localhost")).status == 404
    assert preview == f"hello-{deployed['sha']}-development.localhost"


async def test_an_app_that_cannot_start_fails_its_deployment_with_the_reason(agent: Agent) -> None:
    failed = await agent.settled((await agent.begin("broken", EXITS))["id"])

    assert failed["status"] == "failed"
    assert "exited with 3" in failed["reason"]
    assert "cannot find the database" in await agent.logs(failed["id"])


async def test_a_failed_deploy_leaves_the_old_version_serving(agent: Agent) -> None:
    await agent.deploy("hello", ON_DEMAND_EXIT)
    pid = (await agent.get("hello")).body

    failed = await agent.settled((await agent.begin("hello", EXITS))["id"])

    assert failed["status"] == "failed"
    assert (await agent.get("hello")).body == pid


async def test_a_new_version_takes_over_without_a_lost_request(agent: Agent) -> None:
    old = await agent.deploy("hello", ON_DEMAND_EXIT)
    answers = []
    going = True

    async def keep_asking() -> None:
        while going:
            answers.append((await agent.get("hello")).status)

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(keep_asking())
        new = await agent.deploy("hello", ON_DEMAND_EXIT, replicas=2)
        await agent.until_asleep(old["id"])
        going = False

    assert set(answers) == {200}
    assert (await agent.deployment(old["id"]))["state"] == "superseded"
    assert (await agent.deployment(new["id"]))["is_current"]


async def test_health_path_decides_when_it_is_ready(agent: Agent) -> None:
    await agent.deploy("late", LATE_HEALTH, networking={"health_path": "/health"})

    assert (await agent.get("late")).body == b"well"


async def test_a_start_that_takes_too_long_is_given_up(agent: Agent) -> None:
    begun = await agent.begin("slow", b"#!/bin/sh\nexec sleep 600\n", start_timeout_secs=1)

    failed = await agent.settled(begun["id"])

    assert failed["status"] == "failed"
    assert "not ready after 1 s" in failed["reason"]


async def test_a_crashed_app_comes_back(agent: Agent) -> None:
    deployed = await agent.deploy("hello", ON_DEMAND_EXIT, idle_timeout_secs=60)

    crash = await agent.get("hello", "/exit/7")
    again = await agent.until(lambda: agent.get("hello"), lambda answer: answer.status == 200)

    assert crash.status == 502
    assert "X-Error-Detail" in crash.headers
    assert again.status == 200
    (failed,) = await agent.tasks(deployed["id"], "failed")
    assert failed["exit_code"] == 7


async def test_an_app_that_keeps_failing_is_refused_at_once_and_not_started_by_traffic(agent: Agent) -> None:
    # It starts once, for its deployment, and never again.
    program = b"""#!/bin/sh
if [ -e "$HOME/started" ]; then echo "the disk is full"; exit 1; fi
touch "$HOME/started"
exec python3 -m http.server --bind "$HOST" "$PORT"
"""
    deployed = await agent.deploy("loop", program, idle_timeout_secs=1)
    await agent.until_asleep(deployed["id"])

    answers = [await agent.get("loop") for _ in range(40)]

    assert {answer.status for answer in answers} == {503}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers)
    assert len(await agent.tasks(deployed["id"], "failed")) <= 3
    await agent.until(lambda: _asked_and_shown(agent, "loop", deployed), lambda found: found == "crashed")
    assert "the disk is full" in await agent.logs(deployed["id"])
    assert all(b"disk" not in answer.body for answer in answers)


async def test_replicas_share_the_load_and_follow_a_change(agent: Agent) -> None:
    deployed = await agent.deploy("many", ON_DEMAND_EXIT, replicas=3)
    held = await asyncio.gather(*(agent.get("many") for _ in range(60)))
    assert len({answer.body for answer in held}) == 3

    await agent.ask("PATCH", f"/api/v1/deployments/{deployed['id']}", json={"spec": {"replicas": 1}})

    await agent.until(
        lambda: agent.tasks(deployed["id"], "starting", "running", "stopping"), lambda live: len(live) == 1
    )
    assert (await agent.get("many")).status == 200


async def test_scaled_to_zero_sleeps_now_and_wakes_on_traffic(agent: Agent) -> None:
    deployed = await agent.deploy("hello", ON_DEMAND_EXIT, idle_timeout_secs=600)

    await agent.ask("PATCH", f"/api/v1/deployments/{deployed['id']}", json={"spec": {"replicas": 0}})
    await agent.until_asleep(deployed["id"])

    assert (await agent.get("hello")).status == 200


async def test_without_cold_start_it_never_sleeps(agent: Agent) -> None:
    deployed = await agent.deploy("awake", ON_DEMAND_EXIT, idle_timeout_secs=1, cold_start_enabled=False)
    began = time.monotonic()

    await agent.until(
        lambda: agent.tasks(deployed["id"], "running"), lambda _: time.monotonic() - began > 2.5
    )

    assert len(await agent.tasks(deployed["id"], "running")) == 1


async def test_a_task_that_ran_its_time_is_replaced(agent: Agent) -> None:
    deployed = await agent.deploy("short", ON_DEMAND_EXIT, max_runtime_secs=1, cold_start_enabled=False)
    first = (await agent.get("short")).body

    second = await agent.until(
        lambda: agent.get("short"), lambda answer: answer.status == 200 and answer.body != first
    )

    assert second.body != first
    # The next one is started before the end of this one is recorded.
    await agent.until(
        lambda: agent.tasks(deployed["id"], "stopped"),
        lambda ended: any("max_runtime_secs" in (task["reason"] or "") for task in ended),
    )


async def test_a_stopped_app_says_so_and_never_wakes(agent: Agent) -> None:
    deployed = await agent.deploy("hello", ON_DEMAND_EXIT)

    await agent.ask("POST", f"/api/v1/deployments/{deployed['id']}/cancel")
    await agent.until(
        lambda: agent.tasks(deployed["id"], "pending", "starting", "running", "stopping"),
        lambda live: not live,
    )
    answer = await agent.get("hello")

    assert answer.status == 503
    assert "stopped" in answer.headers["X-Error-Detail"]
    assert await agent.tasks(deployed["id"], "starting", "running") == []


async def test_a_request_during_a_stop_gets_a_fresh_task(agent: Agent) -> None:
    stubborn = ON_DEMAND_EXIT.replace(
        b"import http.server, os\n",
        b"import http.server, os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n",
    )
    deployed = await agent.deploy("stubborn", stubborn, stop_grace_secs=3)
    old = (await agent.get("stubborn")).body
    await agent.ask("POST", f"/api/v1/deployments/{deployed['id']}/sleep")
    await agent.until(lambda: agent.tasks(deployed["id"], "stopping"), lambda found: len(found) == 1)

    answer = await agent.get("stubborn")

    assert answer.status == 200
    assert answer.body != old
    assert await agent.tasks(deployed["id"], "stopping")


async def test_a_deleted_app_leaves_nothing_behind(agent: Agent) -> None:
    deployed = await agent.deploy("gone", ON_DEMAND_EXIT, replicas=2)
    app = await agent.app("gone")

    await agent.ask("DELETE", f"/api/v1/apps/{app['id']}", expect=204)

    answer = await agent.until(lambda: agent.get("gone"), lambda found: found.status == 404)
    assert answer.status == 404
    await agent.until(agent.tasks_running_now, lambda pids: pids == [], limit=20)
    assert (await agent.api("GET", f"/api/v1/deployments/{deployed['id']}")).status in (200, 404)
    assert (await agent.app("gone"))["id"] != app["id"]


async def _until_asleep_by_itself(agent: Agent, deployment_id: str) -> None:
    """Have an idle time of a second for no longer than it is wanted: a test may be held up for longer."""
    path = f"/api/v1/deployments/{deployment_id}"
    await agent.ask("PATCH", path, json={"spec": {"idle_timeout_secs": 1}})
    await agent.until_asleep(deployment_id)
    await agent.ask("POST", f"{path}/sleep")  # or the longer time would wake it
    await agent.ask("PATCH", path, json={"spec": {"idle_timeout_secs": 600}})


async def _asked_and_shown(agent: Agent, name: str, deployed: Json) -> str:
    """Ask an app, and read what is said of it: for a second or more that it crashed."""
    await agent.get(name)
    return str((await agent.deployment(deployed["id"]))["activity"])
