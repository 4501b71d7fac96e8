"""`paas deploy --image`, against a real agent and a real engine."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.cli.conftest import Command
from tests.containers import Hull, hull


@pytest.fixture
async def ship() -> AsyncIterator[Hull]:
    async with hull() as ship:
        yield ship


async def test_an_image_is_deployed_with_what_only_containers_have(ship: Hull) -> None:
    image = ship.image(env={"TEXT": "from the command line"})
    paas = Command(ship.agent.api_url)

    result = paas.ok("deploy", "--image", image, "--name", "box", "--port", "3000", "--volume", "d:/data")
    again = paas("deploy", "--image", image, "--name", "box", "--volume", "d:/data:ro", "--pull", "--json")

    assert "-----> Fetching the image" in result.lines
    assert result.lines[-1].startswith("http://box-default.localhost:")
    assert (await ship.agent.get("box")).text.strip() == "from the command line"
    spec = json.loads(again.out)["spec"]
    assert again.code == 1, "no registry has it"
    assert (spec["image"], spec["pull"], spec["process_type"]) == (image, "always", "docker")
    volume = {"host_path": "d", "container_path": "/data", "read_only": True, "exclusive": False}
    assert spec["volumes"] == [volume]


def test_an_app_is_named_after_its_image(paas: Command) -> None:
    paas("deploy", "--image", "127.0.0.1:9/some/My.App:1.0")

    assert [app["name"] for app in json.loads(paas.ok("ps", "--json").out)["data"]] == ["my-app"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "one of them"),
        (("examples/hello", "--image", "x"), "one of them"),
        (("--image", "x", "--volume", "data"), "is not a volume"),
        (("--image", "x", "--volume", "data:/d:rw"), "is not a volume"),
        (("--image", "x y"), "image"),
    ],
)
def test_bad_arguments_are_refused(paas: Command, arguments: tuple[str, ...], says: str) -> None:
    result = paas("deploy", *arguments)

    assert result.code != 0
    assert says in result.err
