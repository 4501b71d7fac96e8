"""Read server-sent events as an EventSource would."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp

from tests.api.conftest import Json

LIMIT_SECS = 10


@dataclass(frozen=True, slots=True)
class Frame:
    id: str
    data: Json
    fields: tuple[str, ...]


class Stream:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.comments = 0

    async def next(self) -> Frame:
        """Wait for one frame; comments are counted and left out."""
        async with asyncio.timeout(LIMIT_SECS):
            while True:
                lines = (await self.response.content.readuntil(b"\n\n")).decode().splitlines()
                if lines[0].startswith(":"):
                    self.comments += 1
                    continue
                fields = dict(line.split(": ", 1) for line in lines if line)
                return Frame(fields["id"], json.loads(fields["data"]), tuple(fields))

    async def take(self, count: int) -> list[Frame]:
        return [await self.next() for _ in range(count)]

    async def comment(self) -> None:
        """Wait until a heartbeat comes."""
        async with asyncio.timeout(LIMIT_SECS):
            while (await self.response.content.readline()).strip() != b":":
                pass


@contextlib.asynccontextmanager
async def open_stream(
    client: aiohttp.ClientSession, url: str, last_event_id: str | None = None
) -> AsyncIterator[Stream]:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_event_id} if last_event_id else {})
    async with client.get(url, headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as response:
        assert response.status == 200, await response.read()
        assert response.content_type == "text/event-stream"
        yield Stream(response)
