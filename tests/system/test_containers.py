"""Containers from outside: deployed, answered, asleep, woken, replaced, adopted, on a real engine."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.containers import SERVE, Hull, hull
from tests.harness import Agent, Json

CRASH = "echo cannot go on; exit 3"


@pytest.fixture
async def ship() -> AsyncIterator[Hull]:
    async with hull() as ship:
        yield ship


async def test_a_container_serves_sleeps_and_wakes_as_the_container_made_ahead(ship: Hull) -> None:
    image = ship.image(env={"TEXT": "hello from a container"})
    deployment = await ship.asleep("web", image)
    (ahead,) = ship.containers()

    answer = await ship.agent.get("web")

    assert (answer.status, answer.text.strip()) == (200, "hello from a container")
    assert "wake;dur=" in answer.headers["Server-Timing"]
    assert [each["Id"] for each in ship.containers(running_only=True)] == [ahead["Id"]]
    assert (await ship.agent.deployment(deployment["id"]))["wakes"]["count"] == 1


async def test_it_is_told_its_port_and_its_variables(ship: Hull) -> None:
    image = ship.image(SERVE.replace("$TEXT", "$PORT $COLOUR $APP_NAME $ENVIRONMENT"))

    await ship.deploy("told", image, env={"COLOUR": "blue"}, networking={"port": 3456})
    answer = await ship.agent.get("told")

    assert answer.text.strip() == "3456 blue told development"


@pytest.mark.parametrize(("exposed", "port"), [({"4321/tcp": {}}, "4321"), ({}, "8080")])
async def test_the_port_is_the_exposed_one_or_8080(ship: Hull, exposed: Json, port: str) -> None:
    image = ship.image(SERVE.replace("$TEXT", "$PORT"), ExposedPorts=exposed)

    await ship.deploy("web", image)

    assert (await ship.agent.get("web")).text.strip() == port


async def test_containers_outlive_the_agent_and_are_adopted(ship: Hull) -> None:
    await ship.deploy("web", ship.image(env={"TEXT": "still here"}))
    before = ship.containers(running_only=True)

    ship.agent.kill(signal.SIGKILL)
    ship.agent.start()
    answer = await ship.agent.get("web")

    assert answer.text.strip() == "still here"
    assert [each["Id"] for each in ship.containers(running_only=True)] == [each["Id"] for each in before]


async def test_a_failed_version_leaves_the_old_one_serving(ship: Hull) -> None:
    await ship.deploy("web", ship.image(env={"TEXT": "one"}))

    failed = await ship.agent.settled((await ship.begin("web", ship.image(CRASH)))["id"])

    assert (failed["status"], failed["reason"]) == ("failed", "it exited with 3 before it was ready")
    assert (await ship.agent.get("web")).text.strip() == "one"


async def test_an_image_that_is_not_there_fails_with_the_engines_reason(ship: Hull) -> None:
    await ship.deploy("web", ship.image(env={"TEXT": "one"}))

    failed = await ship.agent.settled((await ship.begin("web", "127.0.0.1:9/nobody/nothing:1"))["id"])

    assert failed["status"] == "failed"
    assert "127.0.0.1:9" in failed["reason"]
    assert (await ship.agent.get("web")).status == 200


async def test_a_tag_that_moves_does_not_change_a_running_version(ship: Hull) -> None:
    name = ship.image(env={"TEXT": "one"})
    await ship.asleep("web", name)

    ship.image(env={"TEXT": "two"}, name=name)
    woken = await ship.agent.get("web")
    await ship.deploy("web", name)

    assert woken.text.strip() == "one"
    assert (await ship.agent.get("web")).text.strip() == "two"


async def test_a_rolling_deploy_of_three_replicas_fails_no_request(ship: Hull) -> None:
    slow_to_end = SERVE.replace("exit 143", "sleep 0.3; exit 143")
    await ship.deploy("web", ship.image(slow_to_end, env={"TEXT": "one"}), replicas=3)
    new, bad = ship.image(slow_to_end, env={"TEXT": "two"}), ship.image(CRASH)

    async with asyncio.TaskGroup() as group:
        done = asyncio.Event()
        clients = [group.create_task(_ask_until(ship.agent, done)) for _ in range(8)]
        await ship.agent.settled((await ship.begin("web", bad, replicas=3))["id"])
        await ship.deploy("web", new, replicas=3)
        done.set()

    answers = sum((client.result() for client in clients), Counter[str]())
    assert set(answers) == {"200 one", "200 two"}
    assert (await ship.agent.get("web")).text.strip() == "two"


async def _ask_until(agent: Agent, done: asyncio.Event) -> Counter[str]:
    """Ask again and again, and once more when it is done."""
    answers: Counter[str] = Counter()
    is_last = False
    while not is_last:
        is_last = done.is_set()
        answer = await agent.get("web")
        answers[f"{answer.status} {answer.text.strip()}"] += 1
    return answers


async def test_whatever_somebody_removes_is_there_again_on_the_next_request(ship: Hull) -> None:
    await ship.asleep("web", ship.image(env={"TEXT": "hello"}))

    for each in ship.containers():
        ship.engine("DELETE", f"/containers/{each['Id']}?force=1")
    asleep = await ship.agent.get("web")
    for each in ship.containers(running_only=True):
        ship.engine("DELETE", f"/containers/{each['Id']}?force=1")
    statuses = [(await ship.agent.get("web")).status for _ in range(20)]

    assert asleep.text.strip() == "hello"
    # The connection to what was removed may break; the request after it finds a fresh one.
    assert statuses.count(200) >= 19


async def test_memory_that_ran_out_is_told_as_that(ship: Hull) -> None:
    eats = 'a=x; while :; do a="$a$a"; done'
    settled = await ship.agent.settled(
        (await ship.begin("eater", ship.image(eats), resources={"memory": "8Mi", "cpu": "1"}))["id"]
    )

    assert settled["status"] == "failed"
    assert settled["reason"].startswith("it was ended because it used more memory than it may")


async def test_versions_hand_their_volume_over_and_keep_what_is_in_it(ship: Hull) -> None:
    keeps = 'date +%s%N >/tmp/began; mkdir /data/lock || { echo "somebody else has it"; exit 4; };'
    keeps += ' echo "$TEXT" >>/data/said; mkdir -p /tmp/www; ln -s /data/said /tmp/www/index.html;'
    keeps += ' trap "rmdir /data/lock; exit 0" TERM; httpd -f -p $PORT -h /tmp/www & wait $!'
    volume = {"host_path": "data", "container_path": "/data"}
    for text in ("one", "two", "three"):
        await ship.deploy("db", ship.image(keeps, env={"TEXT": text}), volumes=[volume])

    assert (await ship.agent.get("db")).text.split() == ["one", "two", "three"]


async def test_a_deleted_app_leaves_nothing_in_the_engine(ship: Hull) -> None:
    await ship.deploy("web", ship.image(env={"TEXT": "hello"}), replicas=2)
    app = await ship.agent.app("web")

    await ship.agent.ask("DELETE", f"/api/v1/apps/{app['id']}", expect=204)

    async def left() -> Json:
        return ship.containers()

    await ship.agent.until(left, lambda found: found == [])


async def test_a_crowd_at_a_sleeper_starts_one_container(ship: Hull) -> None:
    await ship.asleep("web", ship.image(env={"TEXT": "hello"}))

    answers = await asyncio.gather(*(ship.agent.get("web") for _ in range(100)))

    assert {answer.status for answer in answers} == {200}
    assert len(ship.containers(running_only=True)) == 1


async def test_a_worker_and_a_release_command_run_beside_what_an_image_runs(ship: Hull) -> None:
    say = "sh -c 'echo \"$PAAS_PROCESS at ${PORT:-no port}\"; test $PAAS_PROCESS = release || sleep 1000'"
    image = ship.image(env={"TEXT": "served"})

    deployment = await ship.deploy("web", image, processes={"worker": {"command": say}}, release=say)
    log = await ship.agent.until(
        lambda: ship.agent.logs(deployment["id"]), lambda found: len(found) >= len(("release", "worker"))
    )

    assert set(log) == {"release at no port", "worker at no port"}
    assert (await ship.agent.get("web")).text.strip() == "served"
    running = await ship.agent.tasks(deployment["id"], "running")
    assert sorted(task["process"] for task in running) == ["web", "worker"]
    await ship.agent.ask("POST", f"/api/v1/deployments/{deployment['id']}/sleep")
    await ship.agent.until_asleep(deployment["id"])
