"""Images that builds have made: found, and deleted once nobody uses them."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from paas.docker.engine import DockerEngine, Refused

OWNER_LABEL = "paas.agent"
BUILD_LABEL = "paas.build"
DELETE_SECS = 60.0

_OWN_NAME = re.compile(r"((docker\.io|localhost)/)?paas/.+")  # Podman puts a host before it


class BuiltImages:
    """Those of one agent. No other image is ever deleted."""

    def __init__(self, engine: DockerEngine, agent_id: str) -> None:
        self._engine = engine
        self._agent_id = agent_id

    def labels(self, build_id: str) -> dict[str, str]:
        """Say how what a build makes is known again."""
        return {OWNER_LABEL: self._agent_id, BUILD_LABEL: build_id}

    async def find(self, name: str) -> Mapping[str, Any] | None:
        """Inspect an image; None if it is not there. Raises Unavailable and Refused."""
        try:
            async with self._engine.asked(f"find the image {name}") as docker:
                return await docker.images.inspect(name)
        except Refused as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def delete(self, name: str) -> bool:
        """Delete an image, or one name of it; False while it is in use or something is built on it."""
        try:
            async with self._engine.asked(f"delete the image {name}", more_secs=DELETE_SECS) as docker:
                # Without its parents: layers are deleted by themselves, when they are old.
                await docker.images.delete(name, noprune=True)
        except Refused as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return True
            if error.status == HTTPStatus.CONFLICT:
                return False
            raise
        return True

    async def tidy(
        self, layers: Iterable[str], in_use: Callable[[], Awaitable[Iterable[str]]]
    ) -> Sequence[str]:
        """See `core.ports.ImageBuilder`.

        Labels are inherited: an image that somebody built on ours is his, and known by its name.
        """
        async with self._engine.asked("list the images of builds") as docker:
            found: list[dict[str, Any]] = await docker.images.list(
                filters={"label": [f"{OWNER_LABEL}={self._agent_id}", BUILD_LABEL]}
            )
        wanted = frozenset(await in_use())
        for image in found:
            build_id = image["Labels"][BUILD_LABEL]
            names = _names(image)
            if wanted.isdisjoint({image["Id"], build_id, *names}):
                for name in names:
                    if _OWN_NAME.fullmatch(name) and name.endswith(f":{build_id}"):
                        await self.delete(name)
        return [layer for layer in layers if await self._is_gone(layer, wanted)]

    async def delete_all(self) -> None:
        """Delete every image, at the end of an agent for good. Raises Unavailable and Refused."""

        async def nothing() -> Iterable[str]:
            return ()

        await self.tidy((), nothing)

    async def _is_gone(self, layer: str, wanted: frozenset[str]) -> bool:
        """Delete a nameless image unless it is wanted; one that has a name is somebody's."""
        found = await self.find(layer)
        if found is None or _names(found):
            return True
        return found["Id"] not in wanted and await self.delete(layer)


def _names(image: Mapping[str, Any]) -> list[str]:
    return [name for name in image.get("RepoTags") or () if name != "<none>:<none>"]
