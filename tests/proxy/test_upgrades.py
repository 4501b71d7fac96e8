"""Upgraded connections: WebSocket and anything else that asks."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from tests.proxy.rig import HOST, LIMIT_SECS, AppSide, Rig, fields_of, request, status_of, until

UPGRADE = (b"Connection: Upgrade", b"Upgrade: chat/1")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\n"

SENT = 128 * 1024 * 1024


async def chat(side: AppSide) -> None:
    """Switch, greet in the same segment, and echo until the client ends."""
    head, _ = await side.read_request()
    assert b"Connection: Upgrade\r\nUpgrade: chat/1\r\n" in head
    await side.send(SWITCH + b"welcome")
    while data := await side.reader.read(65536):
        await side.send(data)
    await side.send(b"bye")


async def test_upgraded_connection_carries_bytes_both_ways(rig: Rig) -> None:
    await rig.serve(chat)
    line = await rig.connect()

    await line.send(request(*UPGRADE) + b"early")

    head = await line.read_head()
    assert status_of(head) == 101
    assert fields_of(head)["upgrade"] == "chat/1"
    assert await line.read_exactly(12) == b"welcomeearly"
    await line.send(b"\x00\xff\r\n\r\n")
    assert await line.read_exactly(6) == b"\x00\xff\r\n\r\n"


async def test_open_tunnel_keeps_the_app_awake_and_its_end_lets_it_go(rig: Rig) -> None:
    await rig.serve(chat)
    line = await rig.connect()
    await line.send(request(*UPGRADE))
    await line.read_until(b"welcome")
    assert rig.in_flight() == 1
    assert rig.proxy.open_connections() == 1
    used = rig.last_used()

    line.end()

    assert await line.read_to_end() == b"bye"  # half-closed: the app still spoke
    line.close()
    await until(lambda: rig.in_flight() == 0)
    assert rig.last_used() > used
    assert rig.proxy.open_connections() == 0


async def test_drain_is_over_when_the_last_tunnel_ends(rig: Rig) -> None:
    await rig.serve(chat)
    line = await rig.connect()
    await line.send(request(*UPGRADE))
    await line.read_until(b"welcome")

    async with asyncio.TaskGroup() as group:
        draining = group.create_task(rig.proxy.drain(LIMIT_SECS))
        line.close()

    assert draining.result()


@pytest.mark.parametrize("from_client", [True, False])
async def test_tunnel_ends_for_both_when_one_breaks(rig: Rig, *, from_client: bool) -> None:
    app = await rig.serve(chat)
    line = await rig.connect()
    await line.send(request(*UPGRADE))
    await line.read_until(b"welcome")

    broken, other = (line, app.connections[0]) if from_client else (app.connections[0], line)
    broken.reset()

    if not from_client:
        assert await other.is_closed_by_peer()
    await until(lambda: rig.in_flight() == 0)


async def test_answer_that_does_not_switch_is_an_ordinary_one(rig: Rig) -> None:
    async def script(side: AppSide) -> None:
        while True:
            await side.read_request()
            await side.answer(b"no")

    await rig.serve(script)
    line = await rig.connect()

    for _ in range(2):
        await line.send(request(*UPGRADE))
        assert status_of(await line.read_head()) == 200
        assert await line.read_exactly(2) == b"no"
    assert rig.in_flight() == 0


async def test_tunnel_holds_back_who_sends_faster_than_the_other_reads(rig: Rig) -> None:
    may_read = asyncio.Event()

    async def script(side: AppSide) -> None:
        await side.read_request()
        await side.send(SWITCH)
        await may_read.wait()
        assert len(await side.read_exactly(SENT)) == SENT
        await side.send(b"all")

    await rig.serve(script, buffer_bytes=64 * 1024)
    line = await rig.connect(buffer_bytes=64 * 1024)
    await line.send(request(*UPGRADE))
    await line.read_head()

    line.writer.write(b"x" * SENT)
    left = -1
    while left != line.writer.transport.get_write_buffer_size():
        left = line.writer.transport.get_write_buffer_size()
        await asyncio.sleep(0.1)
    assert left > SENT // 2  # the rest sits in the kernel's buffers, which grow to some 40 MiB
    may_read.set()

    assert await line.read_exactly(3) == b"all"


async def test_websocket_between_aiohttp_on_both_ends(rig: Rig) -> None:
    async def serve(asked: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(asked)
        async for message in socket:
            await socket.send_str(f"echo {message.data}")
        return socket

    application = web.Application()
    application.router.add_get("/ws", serve)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    rig.publish(int(runner.addresses[0][1]))

    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{rig.port}/ws"
        async with session.ws_connect(url, headers={"Host": HOST}) as socket:
            for number in range(3):
                await socket.send_str(f"message {number}")
                assert await socket.receive_str() == f"echo message {number}"
            assert rig.in_flight() == 1
    await until(lambda: rig.in_flight() == 0)
    await runner.cleanup()
