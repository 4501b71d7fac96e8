"""Images of the engine: found, pulled with the credentials of their registry, named by digest."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from paas.core.errors import Unavailable
from paas.core.records import dataclass
from paas.docker.engine import DockerEngine, Refused

DOCKER_HUB = "docker.io"
STALLED_SECS = 120.0  # without a word of the registry's
REPORT_EVERY_SECS = 1.0

_ABOUT_LOGIN = re.compile("no basic auth|unauthorized|authoriz?ation|denied|forbidden", re.IGNORECASE)

Credentials = Callable[[str], Awaitable[tuple[str, str] | None]]
"""Gives user and password of a registry, by its host; None where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """How far a pull is: bytes of the layers whose size is known, downloaded and all."""

    done_bytes: int
    total_bytes: int
    layers: int


Report = Callable[[PullProgress], Awaitable[None]]


class Images:
    def __init__(self, engine: DockerEngine, credentials: Credentials) -> None:
        self._engine = engine
        self._credentials = credentials
        self._pulling: dict[str, asyncio.Lock] = {}

    async def find(self, image: str) -> Mapping[str, Any] | None:
        """Inspect an image of the engine; None if it is not there. Raises Unavailable and Refused."""
        try:
            async with self._engine.asked(f"find the image {image}") as docker:
                return await docker.images.inspect(image)
        except Refused as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def pull(self, image: str, report: Report | None = None) -> None:
        """Fetch an image from its registry; several who want the same one wait for each other.

        Raises Refused with the engine's sentence, and Unavailable when nothing comes any more.
        """
        lock = self._pulling.setdefault(image, asyncio.Lock())
        try:
            async with lock:
                await self._pull(image, report)
        finally:
            if not lock.locked():
                self._pulling.pop(image, None)

    async def _pull(self, image: str, report: Report | None) -> None:
        host = registry_of(image)
        login = await self._credentials(host)
        try:
            await self._pull_as(login, image, report)
        except Refused as error:
            raise _advised(error, host, None if login is None else login[0]) from error

    async def _pull_as(self, login: tuple[str, str] | None, image: str, report: Report | None) -> None:
        auth = None if login is None else {"username": login[0], "password": login[1]}
        layers: dict[str, tuple[int, int]] = {}
        reported_at = time.monotonic()
        async with self._stream(image, auth) as lines:
            async for line in lines:
                _count(line, layers)
                if report is not None and layers and time.monotonic() - reported_at >= REPORT_EVERY_SECS:
                    await report(_progress(layers))
                    reported_at = time.monotonic()
        if report is not None and layers:
            await report(_progress(layers))

    @contextlib.asynccontextmanager
    async def _stream(
        self, image: str, auth: dict[str, str] | None
    ) -> AsyncIterator[AsyncIterator[Mapping[str, Any]]]:
        purpose = f"pull {image}"
        # aiodocker wants the registry in the name as soon as there are credentials.
        name = image if auth is None else qualified(image)
        async with self._engine.followed(purpose) as docker:
            lines = docker.images.pull(name, auth=auth, stream=True)
            async with contextlib.aclosing(_unless_stalled(lines, purpose)) as lively:
                yield lively


async def _unless_stalled(
    lines: AsyncIterator[Mapping[str, Any]], purpose: str
) -> AsyncGenerator[Mapping[str, Any], None]:
    try:
        while True:
            try:
                async with asyncio.timeout(STALLED_SECS):
                    line = await anext(lines)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise Unavailable(f"cannot {purpose}: nothing came for {STALLED_SECS:g} s") from None
            yield line
    finally:
        if isinstance(lines, AsyncGenerator):  # it is one, though its type does not say so
            await lines.aclose()


def _advised(error: Refused, host: str, username: str | None) -> Refused:
    """Add what to do to a refusal that is about who asks; the words are those of engines and registries."""
    if _ABOUT_LOGIN.search(error.message) is None:
        return error
    advice = "if it is private, log in" if username is None else f"{host} refused the login as {username}"
    return Refused(f"{error.message}; {advice}: paas registry login {host}", status=error.status)


def registry_of(image: str) -> str:
    """Name the host that an image comes from, as `docker pull` understands it."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first
    return DOCKER_HUB


def qualified(image: str) -> str:
    """Write an image with its registry's host in front."""
    if registry_of(image) != DOCKER_HUB or image.startswith(f"{DOCKER_HUB}/"):
        return image
    return f"{DOCKER_HUB}/{image}" if "/" in image else f"{DOCKER_HUB}/library/{image}"


def repository_of(image: str) -> str:
    """Take tag and digest off an image's name."""
    name = image.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}"


def fixed_name(image: str, found: Mapping[str, Any]) -> str:
    """Name what was found so that no tag can move it: by digest, else by the image's id."""
    repository = qualified(repository_of(image))
    for digest in found.get("RepoDigests") or ():
        if qualified(repository_of(digest)) == repository:
            return str(digest)
    return str(found["Id"])


def is_local_only(image: str) -> bool:
    """Say whether an image is named by its id, which no registry knows."""
    return image.startswith("sha256:")


def _count(line: Mapping[str, Any], layers: dict[str, tuple[int, int]]) -> None:
    layer, detail = line.get("id"), line.get("progressDetail") or {}
    if not layer:
        return
    _, total = layers.get(layer, (0, 0))
    match line.get("status"):
        case "Downloading":
            layers[layer] = (int(detail.get("current", 0)), int(detail.get("total", total)))
        case "Download complete" | "Extracting" | "Pull complete":
            layers[layer] = (total, total)
        case _:
            pass


def _progress(layers: Mapping[str, tuple[int, int]]) -> PullProgress:
    return PullProgress(
        done_bytes=sum(done for done, _ in layers.values()),
        total_bytes=sum(total for _, total in layers.values()),
        layers=len(layers),
    )
