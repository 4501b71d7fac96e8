"""Who is served: programs of this machine that ask by one of our names."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest

from paas.api.kit import peers
from paas.sock_diag import Endpoint
from tests.api.conftest import Api, allow_example, needs_root, serve, with_blocked
from tests.api.streams import LIMIT_SECS

NOBODY = 65534
ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    connection.sendall(b"GET /health HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
    while chunk := connection.recv(65536):
        sys.stdout.buffer.write(chunk)
"""
LEAVE = """
import socket, sys
request = (
    b"POST /api/v1/apps HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Type: application/json\\r\\n"
    b"Content-Length: 15\\r\\n\\r\\n" + b'{"name":"evil"}'
)
for _ in range(50):
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
        connection.sendall(request)
"""


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "localhost.", "127.0.0.1:47080", "[::1]:47080", "[::1]", "agent.example"],
)
async def test_our_names_are_served(tmp_path: Path, host: str) -> None:
    async with serve(tmp_path, allow_example) as api:
        status, _ = await api.ask("GET", "/health", headers={"Host": host})

    assert status == HTTPStatus.OK


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:47080",
        "localhost.evil.example",
        "evil@localhost",
        "a.localhost",
        "127.0.0.2",
        "",
    ],
)
async def test_rebound_names_are_refused(api: Api, host: str) -> None:
    for path in ("/health", "/openapi.json", "/nowhere"):
        status, error = await api.ask("GET", path, headers={"Host": host})

        assert (status, error["code"]) == (HTTPStatus.FORBIDDEN, "HOST_NOT_ALLOWED")


@pytest.mark.parametrize("head", [b"GET /health HTTP/1.0\r\n\r\n", b"GET /health HTTP/1.1\r\n\r\n"])
async def test_request_without_a_host_is_refused(api: Api, head: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    async with asyncio.timeout(LIMIT_SECS):
        writer.write(head)
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()

    assert line.split()[1] in {b"403", b"400"}


@pytest.mark.parametrize(
    ("headers", "served"),
    [
        ({"Origin": "http://localhost:47080"}, True),
        ({"Origin": "http://[::1]:47080"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "null"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "http://hello-default.localhost:47000"}, False),
        ({"Origin": "http://localhost.evil.example"}, False),
        ({"Origin": "localhost"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, False),
    ],
)
async def test_pages_of_other_origins_are_refused(api: Api, headers: dict[str, str], served: bool) -> None:  # noqa: FBT001
    status, body = await api.ask("GET", "/health", headers=headers)

    assert status == (HTTPStatus.OK if served else HTTPStatus.FORBIDDEN)
    assert served or body["code"] == "CROSS_ORIGIN"


async def test_callers_from_other_addresses_are_refused(tmp_path: Path) -> None:
    address = _own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    async with serve(tmp_path, host="0.0.0.0") as api:
        url = f"http://{address}:{api.port}/health"
        async with api.client.get(url, headers={"Host": "localhost"}) as response:
            error = await response.json()
        any_address, _ = await api.ask("GET", "/health", headers={"Host": "0.0.0.0"})

    assert (response.status, error["code"]) == (HTTPStatus.FORBIDDEN, "NOT_LOOPBACK")
    assert any_address == HTTPStatus.FORBIDDEN


@needs_root
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_hosted_apps_are_refused_and_others_are_not(tmp_path: Path, address: str) -> None:
    async with serve(tmp_path, with_blocked(NOBODY), host=address) as api:
        ours = await run_as(os.getuid(), ASK, address, api.port)
        app = await run_as(NOBODY, ASK, address, api.port)

    assert ours.startswith(b"HTTP/1.1 200 ")
    assert app.startswith(b"HTTP/1.1 403 ")
    assert b"CALLER_IS_AN_APP" in app


@needs_root
async def test_app_that_leaves_before_it_is_looked_up_gains_nothing(tmp_path: Path) -> None:
    async with serve(tmp_path, with_blocked(NOBODY)) as api:
        await run_as(NOBODY, LEAVE, "127.0.0.1", api.port)
        _, apps = await api.ask("GET", "/api/v1/apps")

    assert apps["total"] == 0


@needs_root
@pytest.mark.parametrize("find", [peers.owner_of, peers.search_tables], ids=["kernel", "tables"])
@pytest.mark.parametrize(
    ("listen", "connect"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")], ids=str
)
async def test_owner_of_a_socket_is_found(
    find: Callable[[Endpoint, Endpoint], peers.Owner | None], listen: str, connect: str
) -> None:
    found: list[peers.Owner | None] = []

    def look(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer, own = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        found.append(find(peer[:2], own[:2]))
        found.append(find((peer[0], 1), own[:2]))
        writer.close()

    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    with socket.create_server((listen, 0), family=family, dualstack_ipv6=listen == "::") as listener:
        async with await asyncio.start_server(look, sock=listener):
            await run_as(NOBODY, ASK, connect, listener.getsockname()[1])

    assert found == [peers.Owner(NOBODY, held=True), None]


async def run_as(uid: int, program: str, address: str, port: int) -> bytes:
    """Run a Python program under a user id and return what it printed."""
    arguments = [sys._base_executable, "-c", program, address, str(port)]  # type: ignore[attr-defined]
    reading, writing = os.pipe()
    pid = os.posix_spawn(
        "/usr/bin/setpriv",
        ["setpriv", f"--reuid={uid}", "--clear-groups", *arguments],
        {"PATH": "/usr/bin:/bin"},
        file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)],
    )
    os.close(writing)
    try:
        return await asyncio.wait_for(asyncio.to_thread(_read_all, reading), LIMIT_SECS)
    finally:
        await asyncio.to_thread(os.waitpid, pid, 0)


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _own_address() -> str | None:
    """Find an address of this machine that is not loopback; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if peers.is_loopback(address) else address
