"""Bodies both ways: chunks, trailers, 100-continue, pipelining, half-close, streams."""

import asyncio
from typing import cast

import pytest

from paas.proxy.limits import ProxyLimits
from tests.proxy.rig import (
    HOST,
    AppSide,
    Rig,
    answers,
    body_of,
    echo,
    fields_of,
    request,
    running,
    status_of,
    until,
)

UNSWEPT = ProxyLimits(sweep_secs=60.0)  # a sweep may come before any answer, and say 100 Continue
CHUNKED = b"Transfer-Encoding: chunked"
CLOSE = b"Connection: close"


async def keeps_body(side: AppSide) -> None:
    """Read a chunked request as it is, and answer with its bytes."""
    while True:
        await side.read_head()
        raw = line = b""
        while line != b"0\r\n":
            line = await side.read_until(b"\r\n")
            raw += line
        while line != b"\r\n":
            line = await side.read_until(b"\r\n")
            raw += line
        await side.answer(raw)


def content(chunked: bytes) -> bytes:
    """Decode chunks, for comparison."""
    out, rest = b"", chunked
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if not int(size, 16):
            return out
        out, rest = out + rest[: int(size, 16)], rest[int(size, 16) + 2 :]


async def test_chunked_upload_arrives(rig: Rig) -> None:
    await rig.serve(keeps_body)

    body = b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n"
    answer = await rig.ask(request(CHUNKED, CLOSE, method=b"POST", body=body))

    assert content(body_of(answer)) == b"hello world"


async def test_trailers_of_a_request_pass_but_for_those_that_lie(rig: Rig) -> None:
    await rig.serve(keeps_body)

    body = (
        b"2\r\nhi\r\n0\r\nX-Sum: 42\r\nContent-Length: 9\r\nX-Forwarded-For: 10.0.0.1\r\nHost: evil\r\n\r\n"
    )
    answer = await rig.ask(request(CHUNKED, CLOSE, method=b"POST", body=body))

    assert body_of(answer) == b"2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n"


async def test_trailers_of_an_answer_pass(rig: Rig) -> None:
    await rig.serve(
        answers(
            b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n"
        )
    )

    answer = await rig.get()

    assert fields_of(answer)["trailer"] == "X-Sum"
    assert body_of(answer) == b"2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n"


async def test_chunked_answer_leaves_both_connections_open(rig: Rig) -> None:
    app = await rig.serve(
        answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
    )
    line = await rig.connect()

    for _ in range(3):
        await line.send(request())
        await line.read_head()
        assert await line.read_until(b"0\r\n\r\n") == b"2\r\nhi\r\n0\r\n\r\n"

    assert len(app.connections) == 1


async def test_large_bodies_pass_unharmed(rig: Rig) -> None:
    await rig.serve(echo_body)
    payload = bytes(range(256)) * 8192  # 2 MiB

    answer = await rig.ask(request(b"Content-Length: %d" % len(payload), CLOSE, method=b"POST", body=payload))

    assert body_of(answer) == payload


async def echo_body(side: AppSide) -> None:
    while True:
        _, body = await side.read_request()
        await side.answer(body)


async def test_pipelined_requests_are_answered_in_order(rig: Rig) -> None:
    await rig.serve()
    line = await rig.connect()
    posts = [
        request(b"Content-Length: 1", target=b"/%d" % number, method=b"POST", body=b"x")
        for number in range(20)
    ]

    await line.send(b"".join(posts))

    for number in range(20):
        head = await line.read_head()
        body = await line.read_exactly(int(fields_of(head)["content-length"]))
        assert body.startswith(b"POST /%d " % number)


async def test_pipelined_request_after_a_chunked_one_is_not_read_too_early(rig: Rig) -> None:
    await rig.serve(keeps_body)
    line = await rig.connect()

    one = request(CHUNKED, method=b"POST", body=b"1\r\na\r\n0\r\n\r\n")
    two = request(CHUNKED, method=b"POST", body=b"1\r\nb\r\n0\r\n\r\n")
    await line.send(one + two + b"BROKEN\r\n\r\n")

    for expected in (b"a", b"b"):
        head = await line.read_head()
        body = await line.read_exactly(int(fields_of(head)["content-length"]))
        assert content(body) == expected
    assert status_of(await line.read_head()) == 400


async def test_many_pipelined_errors_wait_for_the_reader(rig: Rig) -> None:
    line = await rig.connect(buffer_bytes=4096)
    asked = b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n"
    cast(asyncio.Transport, line.writer.transport).pause_reading()  # nothing is read from it

    line.writer.write(asked * 200_000)
    await until(lambda: line.writer.transport.get_write_buffer_size() > 0)
    before = -1
    while before != line.writer.transport.get_write_buffer_size():
        before = line.writer.transport.get_write_buffer_size()
        await asyncio.sleep(0.2)

    assert before > 1_000_000  # most of it was never read


@pytest.mark.parametrize("with_100", [True, False])
async def test_expectation_is_met_before_the_body_is_sent(rig: Rig, with_100: bool) -> None:  # noqa: FBT001
    async def script(side: AppSide) -> None:
        head = await side.read_head()
        assert b"Expect: 100-continue" in head
        if with_100:
            await side.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await side.read_exactly(4) == b"data"
        await side.answer(b"got it")

    await rig.serve(script)
    line = await rig.connect()

    await line.send(request(b"Expect: 100-continue", b"Content-Length: 4", method=b"PUT"))
    assert await line.read_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await line.send(b"data")

    assert status_of(await line.read_head()) == 200
    assert await line.read_exactly(6) == b"got it"


async def test_final_answer_without_continue_spares_the_body() -> None:
    async def script(side: AppSide) -> None:
        await side.read_head()
        await side.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        await side.reader.read()

    async with running(UNSWEPT) as rig:
        await rig.serve(script)

        answer = await rig.ask(request(b"Expect: 100-continue", b"Content-Length: 4000", method=b"PUT"))

        assert status_of(answer) == 413
        assert fields_of(answer)["connection"] == "close"
        assert rig.in_flight() == 0


async def test_unknown_expectation_is_refused(rig: Rig) -> None:
    answer = await rig.ask(request(b"Expect: miracles"))

    assert status_of(answer) == 417


async def test_early_answer_arrives_though_the_body_never_ends(rig: Rig) -> None:
    async def script(side: AppSide) -> None:
        await side.read_head()
        await side.answer(b"enough")

    await rig.serve(script)
    line = await rig.connect()

    await line.send(request(b"Content-Length: 100000000", method=b"POST", body=b"x" * 1000))

    head = await line.read_head()
    assert status_of(head) == 200
    assert await line.read_exactly(6) == b"enough"
    assert await line.is_closed_by_peer()


async def test_client_that_ends_its_side_is_still_answered() -> None:
    asked = asyncio.Event()
    may_answer = asyncio.Event()

    async def script(side: AppSide) -> None:
        await side.read_request()
        asked.set()
        await may_answer.wait()
        await side.answer(b"late")

    async with running(UNSWEPT) as rig:
        await rig.serve(script)
        line = await rig.connect()

        await line.send(request())
        line.end()
        await asked.wait()
        may_answer.set()

        answer = await line.read_to_end()
        assert status_of(answer) == 200
        assert body_of(answer) == b"late"


async def test_upload_cut_short_is_not_completed(rig: Rig) -> None:
    seen: list[bytes] = []

    async def script(side: AppSide) -> None:
        await side.read_head()
        seen.append(await side.read_to_end())

    await rig.serve(script)
    line = await rig.connect()

    await line.send(request(CHUNKED, method=b"POST", body=b"5\r\nhello\r\n"))
    line.end()

    await until(lambda: bool(seen))
    assert seen == [b"5\r\nhello\r\n"]
    assert rig.in_flight() == 0


async def test_answer_cut_short_breaks_the_clients_connection(rig: Rig) -> None:
    async def script(side: AppSide) -> None:
        await side.read_request()
        await side.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")

    await rig.serve(script)
    line = await rig.connect()

    await line.send(request())
    await line.read_head()

    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)) as caught:
        await line.read_until(b"0\r\n\r\n")
    assert not isinstance(caught.value, asyncio.IncompleteReadError) or b"0\r\n" not in caught.value.partial


async def test_old_client_sees_that_an_answer_was_cut_short(rig: Rig) -> None:
    """Without a length, only a reset tells a broken answer from a whole one."""

    async def script(side: AppSide) -> None:
        await side.read_request()
        await side.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await may_die.wait()

    may_die = asyncio.Event()
    await rig.serve(script)
    line = await rig.connect()
    await line.send(b"GET / HTTP/1.0\r\nHost: %b\r\n\r\n" % HOST.encode())
    await line.read_until(b"hello")

    may_die.set()

    with pytest.raises(ConnectionResetError):
        await line.read_to_end()


async def test_server_sent_events_arrive_one_by_one(rig: Rig) -> None:
    tick = asyncio.Semaphore(0)

    async def script(side: AppSide) -> None:
        await side.read_request()
        await side.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        while True:
            await tick.acquire()
            await side.send(b"9\r\ndata: x\n\n\r\n")

    await rig.serve(script)
    line = await rig.connect()
    await line.send(request(b"Accept: text/event-stream"))
    assert fields_of(await line.read_head())["content-type"] == "text/event-stream"

    for _ in range(3):
        tick.release()
        assert await line.read_until(b"\n\n\r\n") == b"9\r\ndata: x\n\n\r\n"
    assert rig.in_flight() == 1
    line.close()

    tick.release()
    tick.release()
    await until(lambda: rig.in_flight() == 0)


async def test_upgrade_asked_with_a_body_is_an_ordinary_request(rig: Rig) -> None:
    """As curl --http2 sends it; a reader that took the body for the new protocol would be smuggled to."""
    await rig.serve(echo)
    line = await rig.connect()

    lines = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")
    await line.send(request(*lines, b"Content-Length: 3", method=b"POST", body=b"abc") + request())

    head = await line.read_head()
    body = await line.read_exactly(int(fields_of(head)["content-length"]))
    assert body.endswith(b"abc")
    assert not {"upgrade", "http2-settings", "connection"} & fields_of(body).keys()
    assert status_of(await line.read_head()) == 200
