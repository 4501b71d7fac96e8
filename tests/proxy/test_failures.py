"""Apps that break: what is tried again, and what the client is told."""

import asyncio
import contextlib
import socket

import pytest

from paas.proxy.limits import ProxyLimits
from tests.proxy.ports import reserved_port
from tests.proxy.rig import (
    AppSide,
    Rig,
    answers_once,
    echo,
    fields_of,
    request,
    running,
    silent,
    status_of,
    until,
)


async def test_app_that_refuses_connections_is_502_with_the_cause(rig: Rig) -> None:
    with reserved_port() as refusing:
        rig.publish(refusing)

        answer = await rig.get()

    assert status_of(answer) == 502
    assert "refused" in fields_of(answer)["x-error-detail"].lower()
    assert rig.in_flight() == 0


async def test_refused_connection_is_tried_again_on_a_fresh_task(rig: Rig) -> None:
    with reserved_port() as refusing:
        task = rig.publish(refusing)
        rig.wakes_with(echo)
        line = await rig.connect()
        await line.send(request())
        await until(lambda: rig.in_flight() == 1, pause_secs=0)  # before it is tried again, whatever is late

        rig.withdraw(task)  # as the engine does once it sees the end of the task

        assert status_of(await line.read_head()) == 200


@pytest.mark.parametrize("method", [b"GET", b"DELETE"])
async def test_kept_connection_that_had_died_costs_nothing(rig: Rig, method: bytes) -> None:
    async def one_answer_each(side: AppSide) -> None:
        await side.read_request()
        await side.answer()
        await side.read_request()  # and closes, having seen the next request

    app = await rig.serve(one_answer_each)
    await rig.get()

    assert status_of(await rig.ask(request(b"Connection: close", method=method))) == 200
    assert len(app.connections) == 2


async def test_request_that_may_have_had_effects_is_not_sent_twice(rig: Rig) -> None:
    seen: list[bytes] = []

    async def dies_on_post(side: AppSide) -> None:
        while True:
            head, _ = await side.read_request()
            seen.append(head.split(b" ")[0])
            if seen[-1] == b"POST":
                return
            await side.answer()

    await rig.serve(dies_on_post)
    await rig.get()

    answer = await rig.ask(request(b"Connection: close", b"Content-Length: 1", method=b"POST", body=b"x"))

    assert status_of(answer) == 502
    assert "closed the connection" in fields_of(answer)["x-error-detail"]
    assert seen == [b"GET", b"POST"]


async def test_app_that_dies_on_a_fresh_connection_is_asked_once(rig: Rig) -> None:
    app = await rig.serve(answers_once(b""))

    assert status_of(await rig.get()) == 502
    assert len(app.connections) == 1


async def test_retry_happens_once(rig: Rig) -> None:
    async def second_request_kills(side: AppSide) -> None:
        if rig.apps[0].connections.index(side) == 0:
            await side.read_request()
            await side.answer()
        await side.read_request()

    app = await rig.serve(second_request_kills)
    await rig.get()

    assert status_of(await rig.get()) == 502
    assert len(app.connections) == 2


async def test_app_that_resets_is_502(rig: Rig) -> None:
    async def script(side: AppSide) -> None:
        await side.read_request()
        side.reset()

    await rig.serve(script)

    answer = await rig.get()

    assert status_of(answer) == 502
    assert fields_of(answer)["x-error-detail"]


async def test_app_that_never_accepts_is_given_up() -> None:
    async with running(ProxyLimits(connect_secs=0.2, sweep_secs=0.05)) as rig:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            address = listener.getsockname()
            with contextlib.ExitStack() as full:
                for _ in range(3):  # the kernel drops whoever comes when the queue is full
                    filler = full.enter_context(socket.socket())
                    filler.setblocking(False)
                    filler.connect_ex(address)
                rig.publish(address[1])

                answer = await rig.get()

        assert status_of(answer) == 502
        assert fields_of(answer)["x-error-detail"] == "cannot connect to the app: timed out"


async def test_client_that_leaves_frees_the_app(rig: Rig) -> None:
    app = await rig.serve(silent)
    line = await rig.connect()
    await line.send(request())
    await until(lambda: rig.in_flight() == 1)

    line.reset()

    await until(lambda: rig.in_flight() == 0)
    await until(lambda: len(app.ended) == 1)


async def test_app_hears_when_the_client_of_a_quiet_stream_leaves(rig: Rig) -> None:
    async def feed(side: AppSide) -> None:
        await side.read_request()
        await side.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello\n\r\n")
        assert await side.read_to_end() == b""

    app = await rig.serve(feed)
    line = await rig.connect()
    await line.send(request())
    await line.read_until(b"hello\n")
    assert rig.in_flight() == 1

    line.close()

    await until(lambda: rig.in_flight() == 0)
    await until(lambda: len(app.ended) == 1)
    assert app.errors == []


async def test_stream_goes_on_to_a_client_that_ended_its_side_only(rig: Rig) -> None:
    async def feed(side: AppSide) -> None:
        await side.read_request()
        await side.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello\n\r\n")
        await side.read_to_end()
        await side.send(b"4\r\nbye\n\r\n0\r\n\r\n")

    await rig.serve(feed)
    line = await rig.connect()
    await line.send(request())
    await line.read_until(b"hello\n")

    line.end()

    assert (await line.read_to_end()).endswith(b"4\r\nbye\n\r\n0\r\n\r\n")
    await until(lambda: rig.in_flight() == 0)
    assert rig.proxy.open_connections() == 0


async def test_client_that_hangs_up_politely_frees_the_app_too(rig: Rig) -> None:
    await rig.serve(silent)
    line = await rig.connect()
    await line.send(request())
    await until(lambda: rig.in_flight() == 1)

    line.close()

    await until(lambda: rig.in_flight() == 0)


async def test_withdrawn_task_is_left_at_once_where_idle_and_after_its_answer_where_not(rig: Rig) -> None:
    may_answer = asyncio.Event()

    async def script(side: AppSide) -> None:
        while True:
            head, _ = await side.read_request()
            if b"/slow" in head:
                await may_answer.wait()
            await side.answer()

    app = await rig.start_app(script)
    task = rig.publish(app.port)
    slow, quick = await rig.connect(), await rig.connect()
    await slow.send(request(target=b"/slow"))
    await until(lambda: len(app.connections) == 1)
    await quick.send(request())
    await quick.read_until(b"hello")

    rig.withdraw(task)

    await until(lambda: app.ended == [app.connections[1]])
    may_answer.set()
    await slow.read_until(b"hello")
    await until(lambda: len(app.ended) == 2)


async def test_kept_connection_of_one_task_never_serves_another_on_the_same_port(rig: Rig) -> None:
    app = await rig.start_app(echo)
    first = rig.publish(app.port)
    await rig.get()
    rig.withdraw(first)

    rig.publish(app.port)
    await rig.get()

    assert len(app.connections) == 2


async def test_idle_connections_to_the_app_are_closed_in_time() -> None:
    async with running(ProxyLimits(upstream_idle_secs=0.2, sweep_secs=0.05)) as rig:
        app = await rig.serve()
        await rig.get()

        await until(lambda: len(app.ended) == 1)
