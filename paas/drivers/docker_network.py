"""The bridge network that an agent's containers share, and are reached on."""

import asyncio
from collections.abc import Mapping
from typing import Any

from paas.docker.engine import DockerEngine, Refused

OWNER_LABEL = "paas.agent"
TRIES = 3
# Podman looks for free addresses by listing interfaces, then their addresses, and stumbles over an interface
# that comes or goes meanwhile, as those of containers do.
PASSING = "no such network interface"


class Network:
    """Made when it is first needed, and again when somebody pruned it."""

    def __init__(self, engine: DockerEngine, agent_id: str) -> None:
        self.name = f"paas-{agent_id[:12]}"
        self._engine = engine
        self._agent_id = agent_id
        self._making = asyncio.Lock()
        self._was_made = False
        self._gateway: str | None = None

    async def ensure(self) -> None:
        """Make it the first time; later it is believed to be there."""
        if not self._was_made:
            await self.make()

    async def make(self) -> None:
        """Make it unless it is there. Raises Unavailable, or Refused, as when it has no addresses left."""
        async with self._making:
            if await self._found() is None:
                self._gateway = None
                await self._create()
            self._was_made = True

    async def _create(self) -> None:
        for tries_left in reversed(range(TRIES)):
            try:
                await self._ask_for_it()
            except Refused as error:
                if PASSING not in error.message or not tries_left:
                    raise
            else:
                return

    async def _ask_for_it(self) -> None:
        async with self._engine.asked(f"make the network {self.name}") as docker:
            await docker.networks.create(
                {
                    "Name": self.name,
                    "Driver": "bridge",
                    "CheckDuplicate": True,
                    "Labels": {OWNER_LABEL: self._agent_id},
                }
            )

    async def remove(self) -> None:
        """Delete it, if it is there. Raises Refused while containers are on it."""
        if await self._found() is not None:
            async with self._engine.asked(f"remove the network {self.name}") as docker:
                await (await docker.networks.get(self.name)).delete()

    async def gateway(self) -> str:
        """Give the address at which containers reach this machine. Raises Unavailable and Refused.

        It is asked for once: another network would have to be made before it is another.
        """
        if self._gateway is None:
            self._gateway = await self._ask_gateway()
        return self._gateway

    async def _ask_gateway(self) -> str:
        await self.make()
        found = await self._found() or {}
        for subnet in found.get("IPAM", {}).get("Config") or ():
            gateway = subnet.get("Gateway")
            if gateway:
                return str(gateway).partition("/")[0]
        raise Refused(f"cannot use the network {self.name}: it has no gateway", status=0)

    async def _found(self) -> Mapping[str, Any] | None:
        """Read it; None where it is absent, or another's."""
        async with self._engine.asked(f"see the network {self.name}") as docker:
            alike = await docker.networks.list(filters={"label": [f"{OWNER_LABEL}={self._agent_id}"]})
        return next((each for each in alike if each["Name"] == self.name), None)
