"""What one client may cost: heads, time, connections, memory."""

import asyncio
import contextlib
import gc
import resource
import socket

import pytest

from paas.proxy.limits import ProxyLimits
from tests.proxy.rig import AppSide, Rig, echo, fields_of, request, running, silent, status_of, until

SWEEP = 0.05
MIB = 1024 * 1024


async def test_head_that_is_too_large_is_431(rig: Rig) -> None:
    answer = await rig.ask(request(b"X: " + b"a" * 33_000))

    assert status_of(answer) == 431
    assert fields_of(answer)["connection"] == "close"


async def test_endless_head_is_431_before_it_ends(rig: Rig) -> None:
    assert status_of(await rig.ask(b"GET / HTTP/1.1\r\n" + b"X: aaaaaaaa\r\n" * 10_000)) == 431


async def test_head_with_too_many_fields_is_431(rig: Rig) -> None:
    await rig.serve()

    assert status_of(await rig.ask(request(*(b"X: 1",) * 101))) == 431
    assert status_of(await rig.ask(request(b"Connection: close", *(b"X: 1",) * 90))) == 200


async def test_head_that_trickles_in_is_408() -> None:
    async with running(ProxyLimits(head_arrival_secs=0.3, sweep_secs=SWEEP)) as rig:
        line = await rig.connect()
        started = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:

            async def trickle() -> None:
                for byte in b"GET / HTTP/1.1\r\nHost: " + b"x" * 1000:
                    await asyncio.sleep(0.02)
                    if line.writer.transport.is_closing():
                        return
                    line.writer.write(bytes([byte]))

            sender = group.create_task(trickle())
            answer = await line.read_to_end()
            sender.cancel()

        assert status_of(answer) == 408
        assert fields_of(answer)["connection"] == "close"
        assert asyncio.get_running_loop().time() - started < 5


async def test_slow_heads_do_not_keep_others_waiting(rig: Rig) -> None:
    await rig.serve()
    for _ in range(200):
        line = await rig.connect()
        await line.send(b"GET / HTTP/1.1\r\nHost: ")

    assert status_of(await rig.get()) == 200


async def test_idle_connection_is_closed(rig: Rig) -> None:
    await rig.serve()
    fresh, used = await rig.connect(), await rig.connect()
    await used.send(request())
    await used.read_head()

    await rig.pass_time(ProxyLimits().idle_connection_secs + 1)

    assert await fresh.read_to_end() == b""
    await used.read_to_end()
    assert rig.proxy.open_connections() == 0


async def test_slow_answer_is_not_taken_for_idleness(rig: Rig) -> None:
    may_answer = asyncio.Event()

    async def script(side: AppSide) -> None:
        await side.read_request()
        await may_answer.wait()
        await side.answer()

    await rig.serve(script)
    line = await rig.connect()
    await line.send(request())
    await until(lambda: rig.in_flight() == 1)

    await rig.pass_time(4 * max(ProxyLimits().idle_connection_secs, ProxyLimits().stalled_secs))
    may_answer.set()

    assert status_of(await line.read_head()) == 200


async def test_body_that_stalls_is_408() -> None:
    async with running(ProxyLimits(stalled_secs=0.2, sweep_secs=SWEEP)) as rig:
        await rig.serve(silent)

        answer = await rig.ask(request(b"Content-Length: 100", method=b"POST", body=b"x"))

        assert status_of(answer) == 408
        assert rig.in_flight() == 0


async def test_reader_that_stalls_is_given_up() -> None:
    async with running(ProxyLimits(stalled_secs=0.3, sweep_secs=SWEEP)) as rig:
        await rig.serve(endless)
        line = await rig.connect(buffer_bytes=4096)
        line.reader._limit = 1  # type: ignore[attr-defined]  # so that the stream stops reading at once
        await line.send(request())
        await until(lambda: rig.in_flight() == 1)

        await until(lambda: rig.in_flight() == 0)


async def endless(side: AppSide) -> None:
    await side.read_request()
    await side.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n")
    while True:
        side.writer.write(b"x" * MIB)
        await side.writer.drain()


async def test_connections_past_the_limit_are_turned_away() -> None:
    async with running(ProxyLimits(connections=2, sweep_secs=SWEEP)) as rig:
        await rig.serve()
        held = [await rig.connect() for _ in range(2)]
        await until(lambda: rig.proxy.open_connections() == 2)

        assert status_of(await (await rig.connect()).read_to_end()) == 503

        held[0].close()
        await until(lambda: rig.proxy.open_connections() == 1)
        assert status_of(await rig.get()) == 200


async def test_stalled_readers_of_endless_answers_cost_kilobytes(rig: Rig) -> None:
    sent = 0

    async def counted(side: AppSide) -> None:
        nonlocal sent
        await side.read_request()
        await side.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n")
        while True:
            side.writer.write(chunk)
            await side.writer.drain()
            sent += len(chunk)

    chunk = b"x" * 65536
    await rig.serve(counted, buffer_bytes=64 * 1024)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        line = await rig.connect(buffer_bytes=4096)
        line.reader._limit = 1  # type: ignore[attr-defined]  # so that the stream stops reading at once
        await line.send(request())
    await until(lambda: rig.in_flight() == 20)
    seen = -1
    while seen != sent:
        seen = sent
        await asyncio.sleep(0.2)

    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 20 * 1024 * 2  # both ends live in this process too
    assert sent < 20 * 16 * MIB  # mostly kernel buffers


async def test_app_that_does_not_read_holds_the_upload_back(rig: Rig) -> None:
    async def deaf(side: AppSide) -> None:
        await side.read_head()
        await asyncio.Event().wait()

    await rig.serve(deaf, buffer_bytes=64 * 1024)
    line = await rig.connect(buffer_bytes=64 * 1024)
    size = 128 * MIB
    await line.send(request(b"Content-Length: %d" % size, method=b"POST"))

    line.writer.write(b"x" * size)
    left = -1
    while left != line.writer.transport.get_write_buffer_size():
        left = line.writer.transport.get_write_buffer_size()
        await asyncio.sleep(0.2)

    assert left > size // 2


async def test_drain_lets_answers_end_and_takes_no_new_connections(rig: Rig) -> None:
    may_answer = asyncio.Event()

    async def script(side: AppSide) -> None:
        await side.read_request()
        await may_answer.wait()
        await side.answer()

    await rig.serve(script)
    idle, busy = await rig.connect(), await rig.connect()
    await busy.send(request())
    await until(lambda: rig.in_flight() == 1)

    async with asyncio.TaskGroup() as group:
        draining = group.create_task(rig.proxy.drain(5.0))
        assert await idle.read_to_end() == b""
        with pytest.raises(ConnectionRefusedError):
            await rig.connect()
        may_answer.set()
        head = await busy.read_head()
        assert fields_of(head)["connection"] == "close"

    assert draining.result()


async def test_drain_gives_up_in_time(rig: Rig) -> None:
    await rig.serve(silent)
    line = await rig.connect()
    await line.send(request())
    await until(lambda: rig.in_flight() == 1)

    assert not await rig.proxy.drain(0.1)

    await rig.proxy.close()
    assert await line.is_closed_by_peer()
    await until(lambda: rig.in_flight() == 0)


@pytest.mark.parametrize("ends", ["drain", "close"])
async def test_the_end_may_come_in_the_moment_in_which_a_client_is_accepted(rig: Rig, ends: str) -> None:
    with socket.create_connection((rig.host, rig.port)) as client:
        client.setblocking(False)
        await until(lambda: rig.proxy.open_connections() > 0, pause_secs=0)  # for a turn in between

        if ends == "drain":
            assert await rig.proxy.drain(5.0)
        else:
            await rig.proxy.close()

        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b""


async def test_nothing_ticks_while_nothing_is_open() -> None:
    async with running(ProxyLimits(sweep_secs=0.02, upstream_idle_secs=0.02)) as rig:
        await rig.serve(echo)
        await rig.get()

        await until(lambda: rig.proxy._sweep_timer is None)
        assert status_of(await rig.get()) == 200
