"""Containers from outside, as in `test_containers`, where the engine is a Podman service."""

from tests.containers import hull
from tests.podman_engine import podman_service


async def test_a_container_of_podmans_serves_sleeps_and_wakes() -> None:
    with podman_service() as socket:
        async with hull(socket=socket) as ship:
            deployment = await ship.asleep("web", ship.image(env={"TEXT": "hello from podman"}))
            (ahead,) = ship.containers()

            answer = await ship.agent.get("web")

            assert (answer.status, answer.text.strip()) == (200, "hello from podman")
            assert [each["Id"] for each in ship.containers(running_only=True)] == [ahead["Id"]]
            assert (await ship.agent.deployment(deployment["id"]))["wakes"]["count"] == 1
