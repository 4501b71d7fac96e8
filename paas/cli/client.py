"""HTTP to the agent's API: JSON calls, a streamed upload, and event streams that resume."""

import http.client
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from http import HTTPStatus
from typing import BinaryIO, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from paas.cli.problems import Problem
from paas.cli.sse import Frame, read_frames

T = TypeVar("T")
Query = Mapping[str, str | int | None]

CALL_SECONDS = 30.0
UPLOAD_SECONDS = 300.0  # between two steps of it; the last one may wait for a disk
QUIET_SECONDS = 20.0  # a stream's heartbeats come every 15 s
GIVE_UP_SECONDS = 30.0  # an agent that restarts is back long before
RETRY_SECONDS = 0.25
CHUNK = 256 * 1024
PAGE = 100
UNREACHABLE = "UNREACHABLE"  # a Problem's code when no agent, or nothing that makes sense, answered


class ApiError(msgspec.Struct, frozen=True, kw_only=True):
    """The API's answer to what it refuses."""

    error: str
    code: str = "UNKNOWN"
    field: str | None = None
    hint: str | None = None


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What every list answers, whatever it lists."""

    data: tuple[msgspec.Raw, ...]
    total: int


class Client:
    """Asks one agent. Every method raises Problem, with the API's sentence and hint if it gave any."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Problem(f"cannot use {url} as the agent's API", hint="it looks like http://127.0.0.1:47080")
        try:
            port = parts.port
        except ValueError as error:
            raise Problem(f"cannot use {url} as the agent's API: {error}") from error
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port, self._prefix = parts.hostname, port, parts.path

    def get(self, path: str, query: Query | None = None) -> bytes:
        return self.call("GET", path, query=query)

    def pages(self, path: str, query: Query | None = None) -> Iterator[bytes]:
        """Yield the pages of a list, to its end."""
        page, seen = 1, 0
        while True:
            raw = self.get(path, {**(query or {}), "page": page, "page_size": PAGE})
            window = decode(raw, Window)
            yield raw
            seen += len(window.data)
            if not window.data or seen >= window.total:
                return
            page += 1

    def call(
        self,
        method: str,
        path: str,
        *,
        body: object | None = None,
        content: bytes | None = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = CALL_SECONDS,
    ) -> bytes:
        """Make one call, with JSON or bytes as they are, and return the body of its answer."""
        json_header = {} if body is None else {"Content-Type": "application/json"}
        content = content if body is None else msgspec.json.encode(body)
        connection = self._connection(timeout)
        try:
            connection.request(
                method,
                self._target(path, query),
                content,
                {"Accept": "application/json"} | json_header | dict(headers or {}),
            )
            return self._body(connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def upload(
        self,
        path: str,
        file: BinaryIO,
        size_bytes: int,
        sent: Callable[[int], None],
        *,
        query: Query | None = None,
        content_type: str = "application/octet-stream",
    ) -> bytes:
        """POST a file's bytes as they are, telling `sent` how many more have left."""
        connection = self._connection(UPLOAD_SECONDS)
        try:
            connection.putrequest("POST", self._target(path, query))
            connection.putheader("Content-Type", content_type)
            connection.putheader("Content-Length", str(size_bytes))
            connection.endheaders()
            try:
                while chunk := file.read(CHUNK):
                    connection.send(chunk)
                    sent(len(chunk))
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before its end: the answer says why
            return self._body(connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def follow(
        self,
        path: str,
        query: Query | None = None,
        *,
        last_id: str | None = None,
        quiet_seconds: float = QUIET_SECONDS,
    ) -> Generator[Frame | None]:
        """Yield a stream's frames for ever, and None as often as nothing new came for a while.

        A broken or silent stream is resumed after the last frame's id, so that nothing is lost or
        repeated when the agent restarts. Raises Problem when no agent is back after 30 s.
        """
        heard_at = time.monotonic()
        while True:
            try:
                for frame in self._stream(path, query, last_id, quiet_seconds):
                    heard_at = time.monotonic()
                    if frame is not None:
                        last_id = frame.id or last_id
                    yield frame
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() - heard_at > GIVE_UP_SECONDS:
                    raise self._unreachable(error) from error
                if not isinstance(error, TimeoutError):  # silence is no loss: ask anew at once
                    time.sleep(RETRY_SECONDS)

    def _stream(
        self, path: str, query: Query | None, last_id: str | None, quiet_seconds: float
    ) -> Iterator[Frame | None]:
        headers = {"Accept": "text/event-stream"} | ({} if last_id is None else {"Last-Event-ID": last_id})
        connection = self._connection(quiet_seconds)
        try:
            connection.request("GET", self._target(path, query), headers=headers)
            response = connection.getresponse()
            if response.status != HTTPStatus.OK:
                self._body(response)
                raise http.client.HTTPException(f"no stream at {path}: {response.status}")
            yield None  # connected: whoever waits may look at what is true now
            yield from read_frames(response)
            raise http.client.RemoteDisconnected("the stream ended")
        finally:
            connection.close()

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        return self._kind(self._host, self._port, timeout=timeout)

    def _target(self, path: str, query: Query | None) -> str:
        given = {key: value for key, value in (query or {}).items() if value is not None}
        return f"{self._prefix}{path}" + (f"?{urlencode(given)}" if given else "")

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        body = response.read()
        if response.status < HTTPStatus.BAD_REQUEST:
            return body
        try:
            refusal = msgspec.json.decode(body, type=ApiError)
        except msgspec.MsgspecError:
            raise Problem(
                f"{self.url} answers {response.status} {response.reason}, not as an agent would",
                hint="check --api-url and PAAS_API_URL",
                status=response.status,
            ) from None
        about = "" if refusal.field is None or refusal.field in refusal.error else f" ({refusal.field})"
        raise Problem(f"{refusal.error}{about}", hint=refusal.hint, code=refusal.code, status=response.status)

    def _unreachable(self, error: Exception) -> Problem:
        if isinstance(error, ConnectionRefusedError):
            return Problem(
                f"no agent answers at {self.url}: connection refused",
                hint="start one with `paas serve`, or name another with --api-url or PAAS_API_URL",
                code=UNREACHABLE,
            )
        cause = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return Problem(
            f"cannot talk to the agent at {self.url}: {cause}",
            hint="check --api-url and PAAS_API_URL, and the agent's log",
            code=UNREACHABLE,
        )


def decode(raw: bytes, shape: type[T]) -> T:
    """Read an answer. Raises Problem if it is not what this version knows."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.MsgspecError as error:
        raise Problem(
            f"cannot read the agent's answer: {error}",
            hint="the command and the agent may be of different versions, or another program answers there",
        ) from error
