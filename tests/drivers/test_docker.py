"""What is particular to containers: what they may do, what they find, what others do to them."""

import asyncio
import dataclasses
import os
from datetime import timedelta
from pathlib import Path

import pytest

from paas.core.errors import StartFailed
from paas.core.ids import TaskId
from paas.core.records import replace
from paas.core.spec import Volume
from paas.docker.engine import DockerEngine
from paas.docker.images import Images, fixed_name
from paas.drivers.docker import DockerDriver
from paas.drivers.docker_containers import name_of
from paas.drivers.docker_removal import remove_all
from tests.contract.docker_rig import WAITING, DockerRig
from tests.contract.rigs import descriptors
from tests.docker_engine import Image, ask, ask_json, busybox_layer, load_image, tar
from tests.drivers.docker_steps import until_exited, until_hinted
from tests.registry import running
from tests.waiting import until

GRACE = timedelta(seconds=5)
NONE = timedelta(0)


async def test_an_end_without_lack_of_memory_is_told_as_that(
    docker: DockerDriver, docker_rig: DockerRig
) -> None:
    spec = docker_rig.spec(WAITING)
    await docker.start(spec)

    ask(docker_rig.socket, "POST", f"/containers/{name_of(spec.task_id)}/kill")
    instance = await until_exited(docker, spec.task_id)

    assert (instance.exit_code, instance.oom_killed) == (137, False)


async def test_the_stop_signal_of_the_image_is_sent(docker: DockerDriver, docker_rig: DockerRig) -> None:
    script = "trap 'exit 7' INT; trap 'exit 8' TERM; echo ready; while :; do sleep 1000 & wait $!; done"
    name = f"paas-test/signal-{docker_rig.agent_id}:1"
    image = load_image(
        docker_rig.socket,
        Image(name=name, config={"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"], "StopSignal": "SIGINT"}),
    )
    spec = docker_rig.spec(script, image=image)
    await docker.start(spec)
    await docker_rig.until_up(spec)

    code = await docker.stop(spec.task_id, grace=GRACE)

    assert code == 7
    await docker.forget(spec.task_id)
    ask(docker_rig.socket, "DELETE", f"/images/{name}")


async def test_a_killed_container_is_hinted_and_ended(docker: DockerDriver, docker_rig: DockerRig) -> None:
    spec = docker_rig.stubborn()
    await docker.start(spec)

    ask(docker_rig.socket, "POST", f"/containers/{name_of(spec.task_id)}/kill")

    await until_hinted(docker, spec.task_id)
    assert (await until_exited(docker, spec.task_id)).exit_code == 137


async def test_a_removed_container_is_hinted_and_ended(docker: DockerDriver, docker_rig: DockerRig) -> None:
    spec = docker_rig.stubborn()
    await docker.start(spec)

    ask(docker_rig.socket, "DELETE", f"/containers/{name_of(spec.task_id)}?force=1")

    await until_hinted(docker, spec.task_id)
    assert (await until_exited(docker, spec.task_id)).status == "exited"
    assert await docker.stop(spec.task_id, grace=NONE) in {137, None}
    await docker.forget(spec.task_id)
    assert await docker.look([spec.task_id]) == {}


async def test_a_paused_container_is_frozen_and_can_be_stopped(
    docker: DockerDriver, docker_rig: DockerRig
) -> None:
    spec = docker_rig.waiting()
    started = await docker.start(spec)
    await docker_rig.until_up(spec)

    ask(docker_rig.socket, "POST", f"/containers/{name_of(spec.task_id)}/pause")
    await until_hinted(docker, spec.task_id)
    frozen = (await docker.look([spec.task_id]))[spec.task_id]
    code = await docker.stop(spec.task_id, grace=GRACE)

    assert frozen == replace(started, status="frozen")
    assert code == 143


async def test_a_pruned_container_is_made_again(docker: DockerDriver, docker_rig: DockerRig) -> None:
    spec = docker_rig.waiting()
    await docker.prepare(spec)
    ask(docker_rig.socket, "DELETE", f"/containers/{name_of(spec.task_id)}")

    instance = await docker.start(spec)

    assert instance.status == "up"


async def test_a_pruned_network_is_made_again(docker: DockerDriver, docker_rig: DockerRig) -> None:
    spec = docker_rig.waiting()
    await docker.prepare(spec)
    ask(docker_rig.socket, "DELETE", f"/networks/{docker.network.name}")

    instance = await docker.start(spec)

    assert instance.status == "up"
    assert instance.address is not None
    assert instance.address.host.rpartition(".")[0] == (await docker.network.gateway()).rpartition(".")[0]


async def test_a_pruned_image_is_pulled_again_with_its_password(
    docker_rig: DockerRig, tmp_path: Path
) -> None:
    with running(tmp_path) as registry:

        async def credentials(host: str) -> tuple[str, str] | None:
            return (registry.username, registry.password) if host == registry.host else None

        name = registry.push("web", busybox_layer(), {"Env": ["PATH=/bin"], "Labels": {"of": registry.host}})
        async with (
            dataclasses.replace(docker_rig, credentials=credentials).driver() as driver,
            DockerEngine(docker_rig.socket) as engine,
        ):
            images = Images(engine, credentials)
            await images.pull(name)
            spec = docker_rig.spec(WAITING, image=fixed_name(name, await images.find(name) or {}))
            await driver.prepare(spec)
            ask(docker_rig.socket, "DELETE", f"/containers/{name_of(spec.task_id)}")
            ask(docker_rig.socket, "DELETE", f"/images/{name}?force=1")
            assert await images.find(spec.image) is None

            instance = await driver.start(spec)

            await driver.forget(spec.task_id)
            ask(docker_rig.socket, "DELETE", f"/images/{spec.image}")
    assert instance.status == "up"


async def test_a_pull_goes_on_after_the_wake_that_wanted_it_gave_up(
    docker_rig: DockerRig, tmp_path: Path
) -> None:
    with running(tmp_path) as registry:

        async def credentials(_host: str) -> tuple[str, str] | None:
            return registry.username, registry.password

        name = registry.push("large", tar({"large": os.urandom(10_000_000)}), {"Cmd": ["/none"]})
        async with (
            dataclasses.replace(docker_rig, credentials=credentials).driver() as driver,
            DockerEngine(docker_rig.socket) as engine,
        ):
            async with asyncio.TaskGroup() as group:
                start = group.create_task(driver.start(docker_rig.spec(WAITING, image=name)))
                await until(lambda: "method=GET" in (tmp_path / "registry.log").read_text())
                start.cancel()

            async with asyncio.timeout(30):
                while await Images(engine, credentials).find(name) is None:  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.05)
        ask(docker_rig.socket, "DELETE", f"/images/{name}")


async def test_a_container_that_somebody_started_is_not_started_again(
    docker: DockerDriver, docker_rig: DockerRig
) -> None:
    spec = docker_rig.ending(3)
    await docker.prepare(spec)
    ask(docker_rig.socket, "POST", f"/containers/{name_of(spec.task_id)}/start")
    await until(lambda: docker_rig.inspect(spec.task_id)["State"]["Status"] == "exited")
    began = docker_rig.inspect(spec.task_id)["State"]["StartedAt"]
    await until_exited(docker, spec.task_id)  # its end is told, and seen

    instance = await docker.start(spec)

    assert (instance.status, instance.exit_code) == ("exited", 3)
    assert docker_rig.inspect(spec.task_id)["State"]["StartedAt"] == began


async def test_a_container_made_for_something_else_is_replaced(docker_rig: DockerRig) -> None:
    spec = docker_rig.spec(WAITING, env={"VERSION": "1"})
    async with docker_rig.driver() as earlier:
        await earlier.prepare(spec)
        await earlier.prepare(replace(spec, env={"VERSION": "2"}))

    async with docker_rig.driver() as driver:
        await driver.start(replace(spec, env={"VERSION": "3"}))

    assert "VERSION=3" in docker_rig.inspect(spec.task_id)["Config"]["Env"]


async def test_a_container_made_by_an_earlier_agent_is_taken(docker_rig: DockerRig) -> None:
    spec = docker_rig.waiting()
    async with docker_rig.driver() as earlier:
        await earlier.prepare(spec)
    before = docker_rig.inspect(spec.task_id)["Id"]

    async with docker_rig.driver() as driver:
        assert await driver.survey() == {}
        await driver.prepare(spec)
        await driver.start(spec)

    assert docker_rig.inspect(spec.task_id)["Id"] == before


async def test_a_command_that_is_not_there_says_so(docker: DockerDriver, docker_rig: DockerRig) -> None:
    spec = replace(docker_rig.waiting(), command=("/bin/nothing",))

    with pytest.raises(StartFailed, match="/bin/nothing"):
        await docker.start(spec)

    assert await docker.look([spec.task_id]) == {}


async def test_what_is_not_ours_is_never_touched(docker: DockerDriver, docker_rig: DockerRig) -> None:
    other = dataclasses.replace(docker_rig, agent_id=f"other-{docker_rig.agent_id}")
    spec = docker_rig.waiting()
    try:
        async with other.driver() as others:
            await others.start(spec)
            before = docker_rig.inspect(spec.task_id)["State"]

            assert await docker.survey() == {}
            assert await docker.stop(spec.task_id, grace=NONE) is None
            await docker.forget(spec.task_id)
            with pytest.raises(StartFailed, match="already in use"):
                await docker.start(spec)
            with pytest.raises(StartFailed, match="already in use"):
                await docker.prepare(spec)

            assert docker_rig.inspect(spec.task_id)["State"] == before
    finally:
        other.clear()


async def test_a_container_that_only_borrows_our_label_is_left_alone(
    docker: DockerDriver, docker_rig: DockerRig
) -> None:
    labels = {"paas.agent": docker_rig.agent_id, "paas.task": "t-borrowed"}
    body = {
        "Image": docker_rig.box(),
        "Cmd": ["sleep", "1000"],
        "Labels": labels,
        "HostConfig": {"NetworkMode": "none"},
    }
    name = f"users-own-{docker_rig.agent_id}"
    made = ask_json(docker_rig.socket, "POST", f"/containers/create?name={name}", body)
    ask(docker_rig.socket, "POST", f"/containers/{made['Id']}/start")

    assert await docker.survey() == {}
    await docker.forget(TaskId("t-borrowed"))

    assert ask_json(docker_rig.socket, "GET", f"/containers/{name}/json")["State"]["Running"]


async def test_nothing_is_left_of_forgotten_tasks(docker: DockerDriver, docker_rig: DockerRig) -> None:
    specs = [docker_rig.waiting(), docker_rig.ending(0), docker_rig.waiting()]
    await docker.start(specs[0])
    await docker.start(specs[1])
    await docker.prepare(specs[2])

    for spec in specs:
        await docker.forget(spec.task_id)

    assert docker_rig.names() == []


async def test_containers_of_tasks_without_a_record_are_removed(
    docker: DockerDriver, docker_rig: DockerRig
) -> None:
    kept, made, started = docker_rig.waiting(), docker_rig.waiting(), docker_rig.waiting()
    await docker.prepare(kept)
    await docker.prepare(made)
    await docker.start(started)

    await docker.keep_only([kept.task_id, made.task_id])
    await docker.keep_only([kept.task_id])
    after_two = set(docker_rig.names())
    await docker.keep_only([kept.task_id])

    assert after_two == {name_of(kept.task_id), name_of(made.task_id)}
    assert docker_rig.names() == [name_of(kept.task_id)]


async def test_an_agent_that_goes_for_good_leaves_only_its_volumes(
    docker_rig: DockerRig, docker: DockerDriver
) -> None:
    volume = Volume(host_path="data", container_path="/data")
    running, ahead = docker_rig.spec(WAITING, volumes=(volume,)), docker_rig.waiting()
    other = dataclasses.replace(docker_rig, agent_id=f"other-{docker_rig.agent_id}")
    await docker.start(running)
    await docker.prepare(ahead)
    try:
        async with other.driver() as others:
            neighbour = other.waiting()
            await others.start(neighbour)

            async with DockerEngine(docker_rig.socket) as engine:
                removed = [await remove_all(engine, docker_rig.agent_id) for _ in range(2)]

            assert removed == [2, 0]
            assert docker_rig.names() == []
            assert docker_rig.networks() == []
            assert other.names() == [name_of(neighbour.task_id)]
    finally:
        other.clear()
    assert (docker_rig.root / "volumes" / "a-1" / "data").is_dir()


async def test_rounds_leave_neither_descriptors_nor_memory(
    docker: DockerDriver, docker_rig: DockerRig
) -> None:
    async def round_trip() -> None:
        spec = docker_rig.waiting()
        await docker.prepare(spec)
        await docker.start(spec)
        await docker.stop(spec.task_id, grace=NONE)
        await docker.forget(spec.task_id)

    await round_trip()
    before = descriptors()
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(round_trip())
    await until(lambda: descriptors() <= before)

    assert await docker.survey() == {}
    assert docker_rig.names() == []
    assert not docker._memory.seen
    assert not docker._memory.prepared
    await until(lambda: not docker._memory._locks)
