"""How an agent follows an engine that takes its time, and containers that do not wait for it."""

import asyncio
import dataclasses
import time
from pathlib import Path

from paas.docker.engine import DockerEngine
from paas.drivers.docker_containers import name_of
from paas.drivers.docker_watch import FIRST_TRY_SECS, Watch
from tests.contract.docker_rig import DockerRig
from tests.docker_engine import ask
from tests.drivers.docker_steps import until_exited
from tests.drivers.engine_front import Request, in_front_of
from tests.waiting import until

BEGIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
SLOW_SECS = 2.0  # Podman has been seen to take 1.2


async def test_an_end_is_not_missed_though_the_engine_answers_before_it_tells(
    docker_rig: DockerRig, tmp_path: Path
) -> None:
    """Docker sends the head of its answer first, and only then subscribes to what happens."""
    subscribed = asyncio.Event()

    async def answer(request: Request) -> None:
        is_events = request.target.partition("?")[0].endswith("/events")
        if is_events:
            request.writer.write(BEGIN)
            await subscribed.wait()
        await request.pass_on(is_answered=is_events)

    front = tmp_path / "engine.sock"
    async with (
        in_front_of(docker_rig.socket, front, answer),
        dataclasses.replace(docker_rig, socket=front).driver() as driver,
    ):
        spec = docker_rig.stubborn()
        await driver.survey()
        await driver.start(spec)
        ask(docker_rig.socket, "POST", f"/containers/{name_of(spec.task_id)}/kill")
        await until(lambda: docker_rig.inspect(spec.task_id)["State"]["Status"] == "exited")

        subscribed.set()

        assert (await until_exited(driver, spec.task_id)).exit_code == 137


async def test_a_container_that_ends_as_it_is_frozen_has_ended(docker_rig: DockerRig, tmp_path: Path) -> None:
    spec = docker_rig.stubborn()
    is_frozen_now = False

    async def answer(request: Request) -> None:
        nonlocal is_frozen_now
        if not is_frozen_now:
            await request.pass_on()
            return
        is_frozen_now = False
        told = await request.answer()
        ask(docker_rig.socket, "POST", f"/containers/{name_of(spec.task_id)}/kill")
        await until(lambda: docker_rig.inspect(spec.task_id)["State"]["Status"] == "exited")
        request.writer.write(told)

    front = tmp_path / "engine.sock"
    async with (
        in_front_of(docker_rig.socket, front, answer),
        dataclasses.replace(docker_rig, socket=front).driver() as driver,
    ):
        await driver.survey()
        await driver.start(spec)
        is_frozen_now = True

        await driver.freeze(spec.task_id)

        seen = await driver.look([spec.task_id])
        assert (seen[spec.task_id].status, seen[spec.task_id].exit_code) == ("exited", 137)


async def test_an_engine_that_is_slow_to_tell_its_version_is_followed_at_once(
    docker_rig: DockerRig, tmp_path: Path
) -> None:
    async def answer(request: Request) -> None:
        if request.target.endswith("/version"):
            await asyncio.sleep(SLOW_SECS)
        await request.pass_on()

    front = tmp_path / "engine.sock"
    async with (
        in_front_of(docker_rig.socket, front, answer),
        dataclasses.replace(docker_rig, socket=front).driver() as driver,
    ):
        assert await driver.survey() == {}


async def test_an_engine_that_answers_in_the_last_moment_is_not_held_to_be_away(
    docker_rig: DockerRig,
) -> None:
    async def follow_up(*_: object) -> None:
        raise AssertionError("nothing happens")

    async def take_stock() -> None:
        time.sleep(FIRST_TRY_SECS)  # noqa: ASYNC251 - the process is not run: then all comes at once
        await asyncio.sleep(0)

    async with DockerEngine(docker_rig.socket) as engine, asyncio.TaskGroup() as group:
        watch = Watch(engine, docker_rig.agent_id, follow_up, take_stock)
        following = group.create_task(watch.run())

        await watch.check()

        assert watch.trouble is None
        following.cancel()
