"""Apps that do not speak HTTP: a port each, the same lease, the same wake."""

import asyncio

import pytest

from paas.core.live import Refusal, Traffic
from paas.proxy.limits import ProxyLimits
from tests.proxy.ports import reserved_port
from tests.proxy.rig import DEPLOYMENT, LIMIT_SECS, AppSide, until
from tests.proxy.tcp_rig import Tcp, echo_bytes, tcp_running

SENT = 64 * 1024 * 1024


async def test_bytes_sent_before_the_app_is_ready_are_kept(tcp: Tcp) -> None:
    line = await tcp.connect()
    await line.send(b"early bytes")
    await until(lambda: tcp.rig.waiting() == 1)
    await line.send(b", and more")

    await tcp.rig.serve(echo_bytes)

    assert await line.read_exactly(21) == b"early bytes, and more"
    line.end()
    assert await line.read_to_end() == b"bye"


async def test_a_connection_and_its_bytes_are_counted(tcp: Tcp) -> None:
    await tcp.rig.serve(echo_bytes)
    line = await tcp.connect()

    await line.send(b"hello")
    assert await line.read_exactly(5) == b"hello"

    counted = tcp.rig.router.counting.counted(DEPLOYMENT)
    assert counted is not None
    assert counted.traffic == Traffic(requests=1, answers={"tcp": 1}, bytes_in=5, bytes_out=5)
    assert tcp.rig.proxy.answered() == {}


async def test_an_app_that_speaks_first_is_heard(tcp: Tcp) -> None:
    async def greet(side: AppSide) -> None:
        await side.send(b"SSH-2.0-test\r\n")
        await side.send((await side.read_until(b"\n")).upper())

    line = await tcp.connect()
    await until(lambda: tcp.rig.waiting() == 1)

    await tcp.rig.serve(greet)

    assert await line.read_until(b"\n") == b"SSH-2.0-test\r\n"
    await line.send(b"hello\n")
    assert await line.read_to_end() == b"HELLO\n"


async def test_a_client_that_has_said_all_before_the_wake_gets_its_answer(tcp: Tcp) -> None:
    line = await tcp.connect()
    await line.send(b"all")
    line.end()
    await until(lambda: tcp.rig.waiting() == 1)

    await tcp.rig.serve(echo_bytes)

    assert await line.read_to_end() == b"allbye"
    await until(lambda: tcp.rig.in_flight() == 0)


async def test_the_app_may_end_its_side_and_read_on(tcp: Tcp) -> None:
    heard: list[bytes] = []

    async def script(side: AppSide) -> None:
        side.end()
        heard.append(await side.read_to_end())

    await tcp.rig.serve(script)
    line = await tcp.connect()

    assert await line.read_to_end() == b""
    await line.send(b"still heard")
    line.end()

    await until(lambda: heard == [b"still heard"])
    await until(lambda: tcp.rig.proxy.open_connections() == 0)


async def test_an_open_connection_is_use_until_it_closes(tcp: Tcp) -> None:
    await tcp.rig.serve(echo_bytes)
    line = await tcp.connect()
    await line.send(b"x")
    await line.read_exactly(1)
    assert tcp.rig.in_flight() == 1
    used = tcp.rig.last_used()

    line.close()

    await until(lambda: tcp.rig.in_flight() == 0)
    assert tcp.rig.last_used() > used


async def test_a_crowd_at_a_sleeper_asks_once_and_all_are_served(tcp: Tcp) -> None:
    lines = [await tcp.connect() for _ in range(50)]
    for number, line in enumerate(lines):
        await line.send(b"%02d" % number)
    await until(lambda: tcp.rig.waiting() == 50)

    await tcp.rig.serve(echo_bytes)

    assert [await line.read_exactly(2) for line in lines] == [b"%02d" % number for number in range(50)]
    assert tcp.rig.in_flight() == 50


@pytest.mark.parametrize("from_client", [True, False])
async def test_a_reset_is_passed_on_as_a_reset(tcp: Tcp, *, from_client: bool) -> None:
    ended: list[type[BaseException] | None] = []

    async def script(side: AppSide) -> None:
        try:
            while data := await side.reader.read(65536):
                await side.send(data)
        except ConnectionResetError as error:
            ended.append(type(error))

    app = await tcp.rig.serve(script)
    line = await tcp.connect()
    await line.send(b"x")
    await line.read_exactly(1)

    if from_client:
        line.reset()
        await until(lambda: ended == [ConnectionResetError])
    else:
        app.connections[0].reset()
        with pytest.raises(ConnectionResetError):
            await line.read_to_end()

    await until(lambda: tcp.rig.in_flight() == 0)


async def test_a_reset_after_an_end_is_found(tcp: Tcp) -> None:
    async def script(side: AppSide) -> None:
        await side.read_to_end()
        await asyncio.Event().wait()  # neither says more nor leaves

    await tcp.rig.serve(script)
    line = await tcp.connect()
    line.end()
    await until(lambda: tcp.rig.in_flight() == 1)

    line.reset()

    await until(lambda: tcp.rig.in_flight() == 0)
    for app in tcp.rig.apps:
        await app.stop()


async def test_a_refused_client_is_reset_and_counted(tcp: Tcp, caplog: pytest.LogCaptureFixture) -> None:
    tcp.rig.refuse(Refusal(reason="it exited with 3", until=None))

    for _ in range(3):
        line = await tcp.connect()
        with pytest.raises(ConnectionResetError):
            await line.read_to_end()

    assert tcp.live().refused == {"refused": 3}
    told = [record for record in caplog.records if "it exited with 3" in record.message]
    assert len(told) == 1


async def test_clients_that_wait_hear_of_a_refusal(tcp: Tcp) -> None:
    line = await tcp.connect()
    await until(lambda: tcp.rig.waiting() == 1)

    tcp.rig.refuse(Refusal(reason="it cannot start", until=None))

    with pytest.raises(ConnectionResetError):
        await line.read_to_end()
    assert tcp.rig.proxy._shared.room.count == 0


async def test_patience_ends() -> None:
    async with tcp_running(ProxyLimits(wake_patience_secs=0.1, sweep_secs=0.05)) as tcp:
        line = await tcp.connect()

        with pytest.raises(ConnectionResetError):
            await line.read_to_end()

        assert tcp.live().refused == {"out_of_patience": 1}
        assert tcp.rig.waiting() == 0


async def test_time_may_be_up_in_the_moment_in_which_a_client_is_accepted() -> None:
    at_once = 0.0001  # the first sweep comes before the first client's transport
    async with tcp_running(ProxyLimits(wake_patience_secs=0.1, sweep_secs=at_once)) as tcp:
        line = await tcp.connect()

        async with asyncio.timeout(LIMIT_SECS):
            with pytest.raises(ConnectionResetError):
                await line.read_to_end()


async def test_only_so_many_wait() -> None:
    async with tcp_running(ProxyLimits(waiting_per_deployment=2, sweep_secs=0.05)) as tcp:
        kept = [await tcp.connect() for _ in range(2)]
        await until(lambda: tcp.rig.waiting() == 2)

        third = await tcp.connect()

        with pytest.raises(ConnectionResetError):
            await third.read_to_end()
        assert tcp.live().refused == {"too_many_waiting": 1}
        await tcp.rig.serve(echo_bytes)
        for line in kept:
            await line.send(b"x")
            assert await line.read_exactly(1) == b"x"


async def test_a_client_that_breaks_off_while_it_waits_frees_its_place(tcp: Tcp) -> None:
    line = await tcp.connect()
    await until(lambda: tcp.rig.waiting() == 1)

    line.reset()

    await until(lambda: tcp.rig.waiting() == 0)
    assert tcp.rig.proxy._shared.room.count == 0


async def test_a_task_that_just_ended_is_followed_by_a_fresh_one(tcp: Tcp) -> None:
    with reserved_port() as refusing:
        dead = tcp.rig.publish(refusing)
        line = await tcp.connect()
        await line.send(b"x")
        await until(lambda: tcp.rig.in_flight() == 1)

        tcp.rig.withdraw(dead)
        await until(lambda: tcp.rig.waiting() == 1)
    await tcp.rig.serve(echo_bytes)

    assert await line.read_exactly(1) == b"x"


async def test_a_task_that_accepts_nobody_turns_clients_away(tcp: Tcp) -> None:
    with reserved_port() as refusing:
        tcp.rig.publish(refusing)
        line = await tcp.connect()

        with pytest.raises(ConnectionResetError):
            await line.read_to_end()

    assert tcp.live().refused == {"unreachable": 1}
    assert tcp.rig.in_flight() == 0


async def test_a_sender_is_held_back_by_a_reader_that_stalls(tcp: Tcp) -> None:
    may_read = asyncio.Event()

    async def script(side: AppSide) -> None:
        await may_read.wait()
        assert len(await side.read_exactly(SENT)) == SENT
        await side.send(b"all")

    await tcp.rig.serve(script, buffer_bytes=64 * 1024)
    line = await tcp.connect(buffer_bytes=64 * 1024)
    line.writer.write(bytes(SENT))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await line.writer.drain()

    may_read.set()

    assert await line.read_exactly(3) == b"all"


async def test_what_waits_for_a_wake_stays_in_the_kernel(tcp: Tcp) -> None:
    line = await tcp.connect(buffer_bytes=64 * 1024)
    line.writer.write(bytes(SENT))
    await until(lambda: tcp.rig.waiting() == 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await line.writer.drain()
    (client,) = tcp.rig.proxy._clients

    assert len(getattr(client, "_early", b"?" * SENT)) <= 256 * 1024

    async def script(side: AppSide) -> None:
        assert await side.read_exactly(SENT) == bytes(SENT)
        await side.send(b"all")

    await tcp.rig.serve(script)
    assert await line.read_exactly(3) == b"all"


async def test_one_connection_too_many_is_reset() -> None:
    async with tcp_running(ProxyLimits(connections=1, sweep_secs=0.05)) as tcp:
        await tcp.rig.serve(echo_bytes)
        line = await tcp.connect()
        await line.send(b"x")
        await line.read_exactly(1)

        with pytest.raises(ConnectionResetError):  # before or after the client looked
            await (await tcp.connect()).read_to_end()

        assert tcp.rig.in_flight() == 1


async def test_closing_the_proxy_breaks_what_is_open() -> None:
    async with tcp_running() as tcp:
        await tcp.rig.serve(echo_bytes)
        joined = await tcp.connect()
        await joined.send(b"x")
        await joined.read_exactly(1)

        await tcp.rig.proxy.close()

        assert await joined.is_closed_by_peer()
        assert not tcp.listens()
        assert tcp.rig.in_flight() == 0
