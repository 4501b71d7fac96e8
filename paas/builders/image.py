"""Deployments of images: fetched when they are absent, checked, and named by digest from then on."""

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from paas.core.errors import BadArchive, Unavailable
from paas.core.model import Artifact, Built, Deployment
from paas.docker.engine import DockerEngine, Refused
from paas.docker.images import Images, PullProgress, fixed_name, is_local_only

ReportPull = Callable[[Deployment, PullProgress], Awaitable[None]]

BAD_IMAGE = "BAD_IMAGE"
_MACHINES: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64"}  # the kernel's words in the engine's
_ALSO_RUNS: Mapping[str, frozenset[str]] = {"amd64": frozenset({"386"}), "arm64": frozenset({"arm"})}


class ImageBuilder:
    """Implements `core.ports.Builder` for deployments that name an image."""

    def __init__(self, engine: DockerEngine, images: Images, report: ReportPull) -> None:
        """`report` hears of a pull about once a second, and at its end."""
        self._engine = engine
        self._images = images
        self._report = report

    async def build(self, deployment: Deployment, artifact: Artifact | None) -> Built:
        """Have the image on this machine, and say what was found by a name that no tag can move.

        Raises BadArchive with the engine's or our own sentence, and Unavailable when nothing answers.
        """
        del artifact  # an image brings all that it needs
        image = deployment.spec.image
        if not image:
            raise BadArchive("cannot run it: it names no image", code=BAD_IMAGE, field="spec.image")
        try:
            found = await self._fetched(deployment, image)
            await self._check(image, found)
        except Refused as error:
            raise BadArchive(error.message, code=BAD_IMAGE, field="spec.image") from error
        return Built(image=fixed_name(image, found), exposed_port=_exposed_port(found))

    async def _fetched(self, deployment: Deployment, image: str) -> Mapping[str, Any]:
        found = await self._images.find(image)
        if is_local_only(image):
            if found is None:
                raise Refused(f"cannot run {image}: no image with this id is on this machine", status=404)
            return found
        if found is None or deployment.spec.pull == "always":

            async def report(progress: PullProgress) -> None:
                await self._report(deployment, progress)

            await self._images.pull(image, report)
            found = await self._images.find(image)
        if found is None:
            raise Unavailable(f"cannot run {image}: somebody removed it as soon as it was pulled")
        return found

    async def _check(self, image: str, found: Mapping[str, Any]) -> None:
        """Raise Refused for an image that cannot run here."""
        theirs = found.get("Architecture")
        if theirs and theirs != _MACHINES.get(os.uname().machine):
            # The engine's word is final, and slow: it asks its own programs for their versions.
            async with self._engine.asked(f"run {image}") as docker:
                ours = str((await docker.version())["Arch"])
            if theirs != ours and theirs not in _ALSO_RUNS.get(ours, ()):
                raise Refused(
                    f"cannot run {image}: it is made for {theirs}, this machine is {ours}", status=0
                )
        config = found.get("Config") or {}
        if not (config.get("Cmd") or config.get("Entrypoint")):
            raise Refused(f"cannot run {image}: it has neither a command nor an entry point", status=0)


def _exposed_port(found: Mapping[str, Any]) -> int | None:
    """Give the one TCP port that an image says it listens at; None where it says none, or several."""
    ports = [
        int(port)
        for port, _, protocol in (
            name.partition("/") for name in (found.get("Config") or {}).get("ExposedPorts") or ()
        )
        if protocol in {"", "tcp"} and port.isdigit()
    ]
    return ports[0] if len(ports) == 1 else None
