"""Whether a program that accepts connections is ready: one question, in the language that it speaks."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus

from paas.core.model import Address
from paas.core.spec import Networking

ANSWER_SECS = 5.0
LONGEST_ANSWER = 1024
POSTGRESQL_PORT, REDIS_PORT = 5432, 6379
# Protocol version 3.0 (PostgreSQL, "Message Formats", StartupMessage).
_STARTUP = struct.pack("!i", 196608) + b"user\0postgres\0database\0postgres\0\0"
_CANNOT_CONNECT_NOW = b"C57P03\0"  # of an ErrorResponse: it starts up, or recovers
_LOADING = (b"-LOADING", b"-MASTERDOWN")

Probe = Callable[[Address], Awaitable[str]]
"""Asks once; an empty answer means well, else it says what is wrong."""


def probe_for(networking: Networking, port: int) -> Probe | None:
    """Choose how an app is asked that listens at `port`; None: that it accepts connections is enough.

    Databases accept connections before they take requests. Where nothing is said, the port that a
    database has everywhere tells that it is one.
    """
    if networking.health_path is not None:
        return partial(_http, path=networking.health_path)
    if networking.protocol != "tcp":
        return None
    by_port = {POSTGRESQL_PORT: "postgresql", REDIS_PORT: "redis"}.get(port, "connect")
    match by_port if networking.check == "auto" else networking.check:
        case "postgresql":
            return _postgresql
        case "redis":
            return _redis
        case _:
            return None


async def _http(address: Address, *, path: str) -> str:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {address.host}:{address.port}\r\n"
        "User-Agent: paas-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    try:
        async with _asked(address, request.encode()) as reader:
            line = await reader.readuntil(b"\r\n")
    except TimeoutError:
        return f"{path} did not answer within {ANSWER_SECS:g} s"
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        return f"{path} could not be asked: {error}"
    parts = line.split(None, 2)
    status = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
    if HTTPStatus.OK <= status < HTTPStatus.BAD_REQUEST:
        return ""
    return f"{path} answered {status}"


async def _postgresql(address: Address) -> str:
    """Log in as far as the first answer: any but "cannot connect now" says that it takes requests."""
    try:
        async with _asked(address, struct.pack("!i", 4 + len(_STARTUP)) + _STARTUP) as reader:
            answer = await reader.read(LONGEST_ANSWER)
    except (OSError, TimeoutError) as error:
        return f"PostgreSQL could not be asked: {error}"
    if not answer or _CANNOT_CONNECT_NOW in answer:
        return "PostgreSQL is starting up"
    return ""


async def _redis(address: Address) -> str:
    try:
        async with _asked(address, b"PING\r\n") as reader:
            answer = await reader.read(LONGEST_ANSWER)
    except (OSError, TimeoutError) as error:
        return f"Redis could not be asked: {error}"
    return "Redis is loading its data" if not answer or answer.startswith(_LOADING) else ""


@asynccontextmanager
async def _asked(address: Address, question: bytes) -> AsyncIterator[asyncio.StreamReader]:
    async with asyncio.timeout(ANSWER_SECS):
        reader, writer = await asyncio.open_connection(address.host, address.port, limit=LONGEST_ANSWER)
        try:
            writer.write(question)
            yield reader
        finally:
            writer.transport.abort()
