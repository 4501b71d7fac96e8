"""Whether a Docker engine answers, and what to do if not. Needs no client library."""

import asyncio
import getpass
import json
import shutil
from http import HTTPStatus
from pathlib import Path
from typing import Any

from paas.core.checks import Check

ANSWER_SECS = 3.0
OLDEST_API = (1, 41)  # Docker 20.10
NAME = "container engine"
LONGEST_ANSWER_BYTES = 1024 * 1024


async def check_engine(socket: Path, *, is_used: bool) -> Check:
    """Ask an engine which one it is. One that is absent is a fault only where containers `is_used`."""
    try:
        async with asyncio.timeout(ANSWER_SECS):
            status, version = await ask(socket, "/version")
    except FileNotFoundError:
        installed = shutil.which("dockerd") or shutil.which("podman")
        fix = "systemctl start docker" if installed else "apt-get install docker.io"
        if not is_used:
            return Check(name=NAME, ok=True, detail=f"none at {socket}; no app needs it", fix=fix)
        return _wrong(f"none at {socket}: no such file", fix)
    except ConnectionRefusedError:
        return _wrong(f"nobody listens at {socket}: the engine ended", "systemctl start docker")
    except PermissionError:
        user = getpass.getuser()
        fix = f"usermod -aG docker {user}, then start the agent again"
        return _wrong(f"the agent's user {user} may not open {socket}", fix)
    except TimeoutError:
        detail = f"the one at {socket} does not answer within {ANSWER_SECS:g} s"
        return _wrong(detail, "systemctl restart docker")
    except (OSError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError) as error:
        return _wrong(
            f"what answers at {socket} is no Docker engine: {error}",
            "set containers.engine to the socket of one",
        )
    return _judged(socket, status, version)


async def ask(socket: Path, target: str) -> tuple[int, Any]:
    """Get one JSON document of an engine, with its status. The caller sets the limit."""
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=LONGEST_ANSWER_BYTES)
    try:
        writer.write(f"GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        return int(head.split(None, 2)[1]), json.loads(await reader.read())
    finally:
        writer.transport.abort()


def _judged(socket: Path, status: int, version: Any) -> Check:
    if status != HTTPStatus.OK:
        return _wrong(f"the one at {socket} answers {status}", "journalctl -u docker")
    api = str(version["ApiVersion"])
    detail = f"{version['Version']} (API {api}) at {socket}"
    if tuple(int(part) for part in api.split(".")) < OLDEST_API:
        oldest = ".".join(map(str, OLDEST_API))
        fix = "apt-get install --only-upgrade docker.io"
        return _wrong(f"{detail} is too old: the agent needs API {oldest}", fix)
    return Check(name=NAME, ok=True, detail=detail)


def _wrong(detail: str, fix: str) -> Check:
    return Check(name=NAME, ok=False, detail=detail, fix=fix)
