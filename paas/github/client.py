"""Tells GitHub: the states of commits, and one comment a pull request. REST API version 2022-11-28."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import TypeVar

import aiohttp
import msgspec

from paas.core.errors import Forbidden, NotFound, Unavailable
from paas.core.reports import State
from paas.github.place import Later, Place

T = TypeVar("T")

TIMEOUT_SECS = 20.0
PAGE, MOST_PAGES = 100, 20  # of the comments of a pull request
ACCEPT = "application/vnd.github+json"
VERSION = "2022-11-28"


class _Comment(msgspec.Struct):
    id: int
    body: str | None = ""


class GitHubClient:
    """Every method raises Unavailable (try again), Later, NotFound and Forbidden (it is no use)."""

    def __init__(self, session: aiohttp.ClientSession, api_url: str) -> None:
        self._session = session
        self._url = api_url.rstrip("/")

    async def set_state(
        self, place: Place, commit: str, state: State, *, context: str, description: str, target_url: str
    ) -> None:
        """Set the state of a commit; of several in one context the last one counts."""
        body = {"state": state, "context": context, "description": description, "target_url": target_url}
        await self._ask("POST", place, f"statuses/{commit}", body)

    async def put_comment(
        self, place: Place, number: int, text: str, *, marker: str, comment_id: int | None
    ) -> int:
        """Write the one comment that carries the marker, and give its id.

        Repeatable: one that was written before, though we never heard of it, is found and changed.
        """
        known = comment_id or await self._find(place, number, marker)
        if known is not None:
            with contextlib.suppress(NotFound):  # somebody deleted it
                await self._ask("PATCH", place, f"issues/comments/{known}", {"body": text})
                return known
        raw = await self._ask("POST", place, f"issues/{number}/comments", {"body": text})
        return _decode(raw, _Comment).id

    async def _find(self, place: Place, number: int, marker: str) -> int | None:
        for page in range(1, MOST_PAGES + 1):
            query = f"issues/{number}/comments?per_page={PAGE}&page={page}"
            comments = _decode(await self._ask("GET", place, query), list[_Comment])
            for comment in comments:
                if (comment.body or "").startswith(marker):
                    return comment.id
            if len(comments) < PAGE:
                break
        return None

    async def _ask(self, method: str, place: Place, path: str, body: object = None) -> bytes:
        url = f"{self._url}/repos/{place.full_name}/{path}"
        headers = {
            "Accept": ACCEPT,
            "Authorization": f"Bearer {place.token}",
            "X-GitHub-Api-Version": VERSION,
        }
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, allow_redirects=False
            ) as response:
                raw = await response.read()
                _check(response.status, response.headers, f"{method} {url}")
                return raw
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            cause = str(error) or type(error).__name__
            raise Unavailable(f"cannot tell GitHub: {method} {url}: {cause}") from error


@contextlib.asynccontextmanager
async def connected(api_url: str) -> AsyncIterator[GitHubClient]:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECS)
    async with aiohttp.ClientSession(timeout=timeout, headers={"User-Agent": "paas"}) as session:
        yield GitHubClient(session, api_url)


def _check(status: int, headers: Mapping[str, str], what: str) -> None:
    """Raise what an answer means, unless it is a good one."""
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return
    sentence = f"cannot tell GitHub: {what} was answered {status}"
    is_limited = headers.get("X-RateLimit-Remaining") == "0" or "Retry-After" in headers
    if status == HTTPStatus.TOO_MANY_REQUESTS or (status == HTTPStatus.FORBIDDEN and is_limited):
        raise Later(sentence, after_secs=_seconds(headers.get("Retry-After", "")))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Unavailable(sentence)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        raise NotFound(sentence)
    raise Forbidden(sentence)


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() else 60.0


def _decode(raw: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unavailable(f"cannot read GitHub's answer: {error}") from error
