"""A real agent with a real engine: images made from scratch, and nothing of them left afterwards."""

import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.docker_engine import Image, answers, ask, ask_json, engine_socket, load_image
from tests.harness import Agent, Json, running

PATH_IN_BOX = "PATH=/bin"
SERVE = 'trap "exit 143" TERM; mkdir -p /tmp/www; echo "$TEXT" >/tmp/www/index.html;'
SERVE += " httpd -f -p $PORT -h /tmp/www & wait $!"


@dataclass(frozen=True, slots=True)
class Hull:
    """An agent and the engine that runs its containers."""

    agent: Agent
    socket: Path

    def image(
        self,
        script: str = SERVE,
        *,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        **config: Any,
    ) -> str:
        """Make an image whose command is a shell script; its name is a new one unless it is given."""
        name = name or f"paas-test/{uuid.uuid4().hex[:12]}:1"
        variables = [PATH_IN_BOX, *(f"{key}={value}" for key, value in (env or {}).items())]
        load_image(
            self.socket,
            Image(name=name, config={"Cmd": ["/bin/sh", "-c", script], "Env": variables, **config}),
        )
        return name

    async def begin(self, name: str, image: str, **spec: Json) -> Json:
        app = await self.agent.app(name)
        return await self.agent.ask(
            "POST", f"/api/v1/apps/{app['id']}/deployments", json={"image": image, **spec}, expect=201
        )

    async def deploy(self, name: str, image: str, **spec: Json) -> Json:
        """Deploy and wait until it serves."""
        settled = await self.agent.settled((await self.begin(name, image, **spec))["id"])
        assert settled["status"] == "running", f"{settled}\n{self.agent.log()}"
        return settled

    async def asleep(self, name: str, image: str, **spec: Json) -> Json:
        deployment = await self.deploy(name, image, **spec)
        await self.agent.ask("POST", f"/api/v1/deployments/{deployment['id']}/sleep")
        await self.agent.until_asleep(deployment["id"])
        await self.agent.until(self._states, lambda states: set(states) == {"created"})
        return deployment

    def containers(self, *, running_only: bool = False) -> Json:
        """List this agent's containers as the engine sees them."""
        mark = '{"label":["paas.agent=' + agent_id(self.agent) + '"]}'
        everything = 0 if running_only else 1
        return self.engine("GET", f"/containers/json?all={everything}&filters={mark}")

    async def _states(self) -> list[str]:
        return [each["State"] for each in self.containers()]

    def engine(self, method: str, target: str, body: Any = None) -> Any:
        """Ask the engine something behind the agent's back."""
        return ask_json(self.socket, method, target, body)


@contextlib.asynccontextmanager
async def hull(
    *flags: str, environment: Mapping[str, str] | None = None, socket: Path | None = None
) -> AsyncIterator[Hull]:
    """Run an agent with an engine; its containers, networks and images are gone afterwards."""
    socket = socket or engine_socket()
    async with running(
        *flags, environment={**(environment or {}), "DOCKER_HOST": f"unix://{socket}"}
    ) as agent:
        afloat = Hull(agent, socket)
        try:
            yield afloat
        finally:
            if agent.process is not None:
                agent.kill()  # or it would start anew what is removed
            if answers(socket):
                _clear(afloat)


def agent_id(agent: Agent) -> str:
    """Read the id that an agent's containers carry; empty before it wanted any."""
    path = agent.state / "agent-id"
    return path.read_text().strip() if path.exists() else ""


def _clear(afloat: Hull) -> None:
    mark = '{"label":["paas.agent=' + agent_id(afloat.agent) + '"]}'
    for each in afloat.containers():
        with contextlib.suppress(ValueError):
            ask(afloat.socket, "DELETE", f"/containers/{each['Id']}?force=1&v=1")
    for each in ask_json(afloat.socket, "GET", f"/networks?filters={mark}") or []:
        with contextlib.suppress(ValueError):
            ask(afloat.socket, "DELETE", f"/networks/{each['Id']}")
    for each in ask_json(afloat.socket, "GET", f"/images/json?filters={mark}") or []:
        with contextlib.suppress(ValueError):  # gone with one before it
            ask(afloat.socket, "DELETE", f"/images/{each['Id']}?force=1")
