"""Requests to an app that sleeps: one start, bounded waiting, honest refusals."""

import asyncio
import socket
import time

import pytest

from paas.core.ids import AppId, DeploymentId
from paas.core.live import Refusal
from paas.core.model import WakePolicy
from paas.proxy.limits import ProxyLimits
from paas.routes import Rules
from paas.tallies import WakeLog
from tests.proxy.rig import (
    DEPLOYMENT,
    HOST,
    AppSide,
    Rig,
    body_of,
    echo,
    fields_of,
    request,
    running,
    status_of,
    until,
)


async def test_request_to_a_sleeping_app_waits_for_it(rig: Rig) -> None:
    rig.wakes_with(echo)

    answer = await rig.get("/first")

    assert status_of(answer) == 200
    assert body_of(answer).startswith(b"GET /first ")
    kind, _, duration = fields_of(answer)["server-timing"].partition(";dur=")
    assert kind == "wake"
    assert 0 <= float(duration) < 5000


async def test_first_who_waited_gets_the_connection_that_the_app_accepted_already(rig: Rig) -> None:
    first, second = await rig.connect(), await rig.connect()
    for line in (first, second):
        await line.send(request())
    await until(lambda: rig.waiting() == 2)
    app = await rig.start_app()

    rig.publish(app.port, connection_to(app.port))

    assert [status_of(await line.read_head()) for line in (first, second)] == [200, 200]
    assert len(app.connections) == 2


async def test_connection_that_nobody_waited_for_is_closed(rig: Rig) -> None:
    app = await rig.start_app()
    accepted = connection_to(app.port)

    rig.publish(app.port, accepted)

    assert accepted.fileno() == -1
    assert status_of(await rig.get()) == 200


def connection_to(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setblocking(False)
    return connection


async def test_only_the_woken_answer_tells_how_long_it_took(rig: Rig) -> None:
    rig.wakes_with(echo)
    await rig.get()

    assert "server-timing" not in fields_of(await rig.get())


async def test_200_clients_wake_it_once_and_are_all_answered(rig: Rig) -> None:
    rig.wakes_with(echo)

    answers = await asyncio.gather(*(rig.get(f"/{number}") for number in range(200)))

    assert len(rig.apps) == 1
    assert [status_of(answer) for answer in answers] == [200] * 200
    for number, answer in enumerate(answers):
        assert body_of(answer).startswith(b"GET /%d " % number)
    assert rig.in_flight() == rig.waiting() == 0


@pytest.mark.parametrize("by_reset", [True, False])
async def test_waiter_that_leaves_frees_its_place_and_harms_no_other(rig: Rig, *, by_reset: bool) -> None:
    leaver, stayer = await rig.connect(), await rig.connect()
    for line in (leaver, stayer):
        await line.send(request())
    await until(lambda: rig.waiting() == 2)

    if by_reset:
        leaver.reset()
    else:
        leaver.close()
    await until(lambda: rig.waiting() == 1)
    app = await rig.serve()

    answer = await stayer.read_head()
    assert status_of(answer) == 200
    assert len(app.connections) == 1


async def test_waiter_that_leaves_in_the_middle_of_its_body_frees_its_place(rig: Rig) -> None:
    line = await rig.connect()
    await line.send(request(b"Content-Length: 1000000", method=b"POST", body=b"x" * 10_000))
    await until(lambda: rig.waiting() == 1)

    line.reset()

    await until(lambda: rig.waiting() == 0)


async def test_waiter_that_ended_its_side_is_still_answered(rig: Rig) -> None:
    line = await rig.connect()
    await line.send(request())
    line.end()
    await until(lambda: rig.waiting() == 1)

    await asyncio.sleep(0.3)  # several sweeps, which must not take it for gone
    assert rig.waiting() == 1
    await rig.serve()

    head = await line.read_head()
    if status_of(head) == 100:
        head = await line.read_head()
    assert status_of(head) == 200


async def test_body_is_not_read_before_the_app_is_ready(rig: Rig) -> None:
    line = await rig.connect(buffer_bytes=64 * 1024)
    body = b"x" * 8 * 1024 * 1024
    await line.send(request(b"Content-Length: %d" % len(body), method=b"POST"))
    await until(lambda: rig.waiting() == 1)

    line.writer.write(body)
    left = -1
    while left != line.writer.transport.get_write_buffer_size():
        left = line.writer.transport.get_write_buffer_size()
        await asyncio.sleep(0.1)
    assert left > 4 * 1024 * 1024  # what is gone sits in the kernel's buffers

    await rig.serve(counting)
    assert await line.read_until(b"8388608") is not None


async def counting(side: AppSide) -> None:
    _, body = await side.read_request()
    await side.answer(b"%d" % len(body))


async def test_expecting_client_sends_its_body_only_to_an_app_that_is_ready(rig: Rig) -> None:
    line = await rig.connect()
    await line.send(request(b"Expect: 100-continue", b"Content-Length: 4", method=b"PUT"))
    await until(lambda: rig.waiting() == 1)

    await rig.serve(counting)

    assert await line.read_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await line.send(b"data")
    await line.read_until(b"\r\n\r\n4")


async def test_waiting_room_of_a_deployment_is_bounded() -> None:
    async with running(ProxyLimits(waiting_per_deployment=3, sweep_secs=0.05)) as rig:
        lines = [await rig.connect() for _ in range(3)]
        for line in lines:
            await line.send(request())
        await until(lambda: rig.waiting() == 3)

        answer = await rig.get()

        assert status_of(answer) == 503
        assert int(fields_of(answer)["retry-after"]) >= 1
        lines[0].reset()
        await until(lambda: rig.waiting() == 2)
        await rig.serve()
        assert status_of(await lines[1].read_head()) == 200


@pytest.mark.parametrize(
    "limits",
    [ProxyLimits(waiting_total=2, sweep_secs=0.05), ProxyLimits(waiting_bytes=12_000, sweep_secs=0.05)],
)
async def test_waiting_room_of_all_is_bounded(limits: ProxyLimits) -> None:
    async with running(limits) as rig:
        padded = request(b"X-Padding: " + b"x" * 5000)
        lines = [await rig.connect() for _ in range(2)]
        for line in lines:
            await line.send(padded)
        await until(lambda: rig.waiting() == 2)

        assert status_of(await rig.ask(padded.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))) == 503


async def test_patience_ends() -> None:
    async with running(ProxyLimits(wake_patience_secs=0.2, sweep_secs=0.05)) as rig:
        answer = await rig.get()

        assert status_of(answer) == 503
        assert "retry-after" in fields_of(answer)
        assert rig.waiting() == 0


async def test_retry_after_comes_from_measured_wakes() -> None:
    async with running(ProxyLimits(waiting_per_deployment=0, sweep_secs=0.05)) as rig:
        entry = rig.router.resolve(HOST)
        assert entry is not None
        entry.wakes = WakeLog()
        for seconds in (1.2, 7.3):
            entry.wakes.note(0.0, None, None, seconds)

        assert fields_of(await rig.get())["retry-after"] == "8"


async def test_refusal_answers_at_once_with_its_reason(rig: Rig) -> None:
    rig.refuse(Refusal(reason="it keeps failing:\nexit code 3", until=time.time() + 30))

    answer = await rig.get()

    assert status_of(answer) == 503
    assert 25 <= int(fields_of(answer)["retry-after"]) <= 30
    assert fields_of(answer)["x-error-detail"] == "it keeps failing: exit code 3"
    assert not rig.pokes


async def test_refusal_reaches_those_who_wait(rig: Rig) -> None:
    line = await rig.connect()
    await line.send(request())
    await until(lambda: rig.waiting() == 1)

    rig.refuse(Refusal(reason="it cannot start", until=None))

    head = await line.read_head()
    assert status_of(head) == 503
    assert "retry-after" not in fields_of(head)
    assert rig.proxy.answered() == {5: 1}


async def test_pipelined_requests_wait_for_one_wake(rig: Rig) -> None:
    rig.wakes_with(echo)
    line = await rig.connect()

    await line.send(request(target=b"/1") + request(target=b"/2"))

    for number in (1, 2):
        head = await line.read_head()
        body = await line.read_exactly(int(fields_of(head)["content-length"]))
        assert body.startswith(b"GET /%d " % number)
    assert len(rig.apps) == 1


async def test_request_during_a_stop_gets_a_fresh_task(rig: Rig) -> None:
    old = await rig.start_app(echo)
    task = rig.publish(old.port)
    line = await rig.connect()
    await line.send(request())
    head = await line.read_head()
    await line.read_exactly(int(fields_of(head)["content-length"]))

    rig.withdraw(task)
    rig.wakes_with(echo)
    await line.send(request())

    assert status_of(await line.read_head()) == 200
    assert len(rig.apps) == 2
    assert len(old.connections) == 1


BYSTANDERS = {
    "well_known": ("/favicon.ico", b""),
    "health": ("/healthz", b""),
    "crawlers": ("/", b"User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1)\r\n"),
    "probes": ("/", b"User-Agent: Mozilla/5.0+(compatible; UptimeRobot/2.0)\r\n"),
}
ALL = WakePolicy(well_known=True, health=True, crawlers=True, probes=True)


@pytest.mark.parametrize("kind", BYSTANDERS)
async def test_bystander_does_not_wake_and_is_counted(rig: Rig, kind: str) -> None:
    rig.route(Rules(health_path="/healthz"))
    target, lines = BYSTANDERS[kind]

    answer = await rig.get(target, lines)

    expected = {"well_known": 204, "health": 200, "crawlers": 503, "probes": 503}
    assert status_of(answer) == expected[kind]
    assert fields_of(answer)["x-app-state"] == "asleep"
    assert ("retry-after" in fields_of(answer)) == (expected[kind] == 503)
    assert not rig.pokes
    live = rig.router.live(DEPLOYMENT)
    assert live is not None
    assert live.refused == {kind: 1}


@pytest.mark.parametrize("kind", BYSTANDERS)
async def test_bystander_wakes_where_the_policy_says_so(rig: Rig, kind: str) -> None:
    rig.route(Rules(health_path="/healthz", wake_policy=ALL))
    rig.wakes_with(echo)
    target, lines = BYSTANDERS[kind]

    assert status_of(await rig.get(target, lines)) == 200
    assert len(rig.apps) == 1


@pytest.mark.parametrize("kind", BYSTANDERS)
async def test_bystander_reaches_an_awake_app_without_counting_as_use(rig: Rig, kind: str) -> None:
    rig.route(Rules(health_path="/healthz"))
    await rig.serve()
    before = rig.last_used()
    target, lines = BYSTANDERS[kind]

    answer = await rig.get(target, lines)

    assert status_of(answer) == 200
    assert body_of(answer).startswith(b"GET " + target.encode())
    assert rig.last_used() == before
    await rig.get()
    assert rig.last_used() > before


async def test_robots_are_told_nothing_new(rig: Rig) -> None:
    answer = await rig.get("/robots.txt")

    assert status_of(answer) == 200
    assert body_of(answer).startswith(b"User-agent: *")


async def test_health_of_a_refused_app_is_not_good(rig: Rig) -> None:
    rig.route(Rules(health_path="/healthz"))
    rig.refuse(Refusal(reason="it keeps failing", until=None))

    assert status_of(await rig.get("/healthz")) == 503


async def test_who_waited_for_a_version_that_was_replaced_goes_to_the_new_one(rig: Rig) -> None:
    line = await rig.connect()
    await line.send(request())
    await until(lambda: rig.waiting() == 1)
    app, newer = await rig.start_app(echo), DeploymentId("newer")

    rig.router.route(newer, AppId("app-1"), (HOST,), Rules())
    rig.router.publish(newer, rig.new_task(), "127.0.0.1", app.port)
    rig.refuse(Refusal(reason="its volume belongs to the version that took over", until=None))

    assert status_of(await line.read_head()) == 200
