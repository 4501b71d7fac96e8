"""The Docker engine's API over its socket: a limit on every wait, foreign errors translated once.

Speaks whatever version the engine does, from 1.41 (Docker 20.10) on; a Podman service has the same API.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiodocker
import aiohttp

from paas.core.errors import PaasError, Unavailable

SOCKET = Path("/var/run/docker.sock")
ANSWER_SECS = 10.0
PULSE_SECS = 2.0
LONGEST_EVENT_BYTES = 1024 * 1024  # it carries all labels of its container
_NO_CONNECTION = 900  # what aiodocker makes of a connection that fails
_BASE_URL = "http://docker"  # only the path of it goes over the socket

Filters = Mapping[str, list[str]]


class Refused(PaasError):
    """The engine answered that it cannot do it, in a sentence of its own."""

    code = "ENGINE_REFUSED"

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status  # of HTTP; 0 when it came in the middle of a stream


class DockerEngine:
    """One engine, by its socket. Use it as a context manager; it connects when it is first asked."""

    def __init__(self, socket: Path = SOCKET, *, answer_secs: float = ANSWER_SECS) -> None:
        self.socket = socket
        self._answer_secs = answer_secs
        self._docker: aiodocker.Docker | None = None
        self._connector: aiohttp.UnixConnector | None = None
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # Each pulse ends with the call it watches: an error of the body leaves as it is, in no group.
            await self._group.__aexit__(None, None, None)
        finally:
            if self._docker is not None:
                await self._docker.close()
            if self._connector is not None:
                await self._connector.close()
            self._docker = self._connector = None

    @contextlib.asynccontextmanager
    async def asked(self, purpose: str, *, more_secs: float = 0.0) -> AsyncIterator[aiodocker.Docker]:
        """Ask the engine something, within a limit: "cannot <purpose>: ..." is what errors say.

        `more_secs` is what the thing asked for may take by itself.
        Raises Refused with the engine's own sentence, and Unavailable when it does not answer.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._answer_secs + more_secs) as limit:
                pulse = self._group.create_task(self._feel_pulse(limit)) if more_secs else None
                try:
                    async with self.followed(purpose) as docker:
                        if docker.api_version == "auto":
                            await self._greet(docker)
                        yield docker
                finally:
                    if pulse is not None:
                        pulse.cancel()
        except TimeoutError as error:
            secs = loop.time() - began
            raise Unavailable(
                f"cannot {purpose}: the Docker engine at {self.socket} did not answer within {secs:.0f} s",
                hint="is it overloaded? `docker ps` shows whether it answers at all",
            ) from error

    @contextlib.asynccontextmanager
    async def followed(self, purpose: str) -> AsyncIterator[aiodocker.Docker]:
        """Ask for what takes as long as it takes; the caller sets the limits. Raises as `asked` does."""
        try:
            yield self._client()
        except aiodocker.DockerError as error:
            if error.status == _NO_CONNECTION:
                raise self._away(purpose, error.__context__ or error) from error
            raise Refused(f"cannot {purpose}: {error.message.strip()}", status=error.status) from error
        except aiohttp.ClientError as error:
            raise self._away(purpose, error) from error

    @contextlib.asynccontextmanager
    async def events(self, filters: Filters) -> AsyncIterator[AsyncIterator[Mapping[str, Any]]]:
        """Follow what happens from now on, of containers. Raises Unavailable here, and when it breaks off.

        What happened in the second before it may be told too.
        """
        purpose = "follow the engine's events"
        try:
            response = await self._ask_for_events(purpose, filters)
        except Refused as error:
            raise Unavailable(error.message) from error
        try:
            async with contextlib.aclosing(self._lines(response, purpose)) as lines:
                yield lines
        finally:
            response.close()

    async def _ask_for_events(self, purpose: str, filters: Filters) -> aiohttp.ClientResponse:
        async with self.asked(purpose) as docker:
            now = await self._greet(docker)  # another engine may answer than before
            return await docker.session.get(
                f"{_BASE_URL}/{docker.api_version}/events",
                # It answers before it has begun to listen: what happens in between is told since then.
                params={"filters": json.dumps({"type": ["container"], **filters}), "since": now},
                read_bufsize=LONGEST_EVENT_BYTES,
                raise_for_status=True,
            )

    async def _greet(self, docker: aiodocker.Docker) -> int:
        """Agree on a version of the API; returns the engine's time, in whole seconds.

        The headers of a ping tell both. For its /version an engine runs other programs, and on a busy
        machine that takes Podman longer than a start of the agent waits.
        """
        async with docker.session.get(f"{_BASE_URL}/_ping", raise_for_status=True) as answer:
            try:
                docker.api_version = f"v{answer.headers['Api-Version']}"
                return int(parsedate_to_datetime(answer.headers["Date"]).timestamp())
            except (KeyError, ValueError) as error:
                raise Unavailable(f"what answers at {self.socket} is no Docker engine: {error}") from error

    async def _lines(
        self, response: aiohttp.ClientResponse, purpose: str
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        try:
            async for line in response.content:
                yield json.loads(line)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._away(purpose, error) from error
        raise self._away(purpose, ConnectionResetError("it ended the connection"))

    async def _feel_pulse(self, limit: asyncio.Timeout) -> None:
        """End a long call when the engine answers nothing else either: it hangs, and is not just slow."""
        while True:
            await asyncio.sleep(PULSE_SECS)
            try:
                async with (
                    asyncio.timeout(self._answer_secs),
                    self._client().session.get(f"{_BASE_URL}/_ping"),
                ):
                    pass
            except (TimeoutError, aiohttp.ClientError):
                if not limit.expired():  # it may just have done so by itself
                    limit.reschedule(0)
                return

    def _client(self) -> aiodocker.Docker:
        if self._docker is None:
            # A kept connection may be one that the engine closed when it was restarted: a start would
            # fail for it, and a new one over the socket costs a tenth of a millisecond.
            self._connector = aiohttp.UnixConnector(str(self.socket), limit=0, force_close=True)
            self._docker = aiodocker.Docker(_BASE_URL, connector=self._connector)
        return self._docker

    def _away(self, purpose: str, error: BaseException) -> Unavailable:
        cause = getattr(error, "os_error", error)
        hint = "start it: systemctl start docker"
        if isinstance(cause, PermissionError):
            hint = f"let the agent's user open {self.socket}, as members of the group docker may"
        elif isinstance(cause, FileNotFoundError):
            hint = "install it: apt-get install docker.io; or start it: systemctl start docker"
        reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        return Unavailable(
            f"cannot {purpose}: no Docker engine answers at {self.socket}: {reason}", hint=hint
        )
