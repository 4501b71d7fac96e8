"""What is counted of traffic: requests, answers by class, bytes as they pass the client's wire."""

import pytest

from paas.core.live import Counted, Refusal
from tests.proxy.rig import (
    DEPLOYMENT,
    HOST,
    AppSide,
    Rig,
    answers,
    answers_once,
    echo,
    request,
    silent,
    until,
)
from tests.proxy.test_upgrades import SWITCH, UPGRADE, chat

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
CLOSE = b"Connection: close"


def counted(rig: Rig) -> Counted:
    found = rig.router.counting.counted(DEPLOYMENT)
    assert found is not None
    return found


async def test_a_warm_load_is_counted_to_the_byte(rig: Rig) -> None:
    await rig.serve(answers(HELLO))
    asked, got = request(), 0
    line = await rig.connect()

    for _ in range(100):
        await line.send(asked)
        got += len(await line.read_until(b"hello"))

    traffic = counted(rig).traffic
    assert (traffic.requests, traffic.answers) == (100, {"2xx": 100})
    assert (traffic.bytes_in, traffic.bytes_out) == (100 * len(asked), got)
    assert [task.traffic for task in counted(rig).tasks.values()] == [traffic]


@pytest.mark.parametrize(
    ("asked", "answer", "kind"),
    [
        (request(CLOSE, method=b"HEAD"), HELLO.removesuffix(b"hello"), "2xx"),
        (request(CLOSE), CHUNKED, "2xx"),
        (request(CLOSE), b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "2xx"),
        (request(CLOSE), b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + HELLO, "2xx"),
        (request(CLOSE), b"HTTP/1.1 304 Not Modified\r\n\r\n", "3xx"),
        (request(CLOSE), b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "4xx"),
        (request(CLOSE), b"no HTTP at all\r\n\r\n", "5xx"),
        (request(CLOSE, b"Content-Length: 5", method=b"POST", body=b"12345"), HELLO, "2xx"),
        (
            request(
                CLOSE, b"Transfer-Encoding: chunked", method=b"PUT", body=b"3\r\nabc\r\n0\r\nA: b\r\n\r\n"
            ),
            CHUNKED,
            "2xx",
        ),
    ],
)
async def test_each_kind_of_message_is_counted_to_the_byte(
    rig: Rig, asked: bytes, answer: bytes, kind: str
) -> None:
    await rig.serve(answers_once(answer))

    got = await rig.ask(asked)

    traffic = counted(rig).traffic
    assert (traffic.requests, traffic.answers) == (1, {kind: 1})
    assert (traffic.bytes_in, traffic.bytes_out) == (len(asked), len(got))


async def test_bytes_of_a_tunnel_count_while_it_is_open(rig: Rig) -> None:
    await rig.serve(chat)
    line = await rig.connect()
    asked = request(*UPGRADE) + b"early"

    await line.send(asked)
    head = await line.read_head()
    got = head + await line.read_exactly(len(b"welcomeearly"))
    await line.send(b"more")
    got += await line.read_exactly(4)

    traffic = counted(rig).traffic
    assert (traffic.requests, traffic.answers) == (1, {"1xx": 1})
    assert (traffic.bytes_in, traffic.bytes_out) == (len(asked) + 4, len(got))
    assert SWITCH.startswith(b"HTTP/1.1 101")


async def test_an_answer_in_the_app_s_place_counts_for_its_deployment(rig: Rig) -> None:
    rig.refuse(Refusal(reason="it keeps failing", until=None))
    asked = request(CLOSE)

    got = await rig.ask(asked)

    found = counted(rig)
    assert (found.traffic.answers, found.tasks) == ({"5xx": 1}, {})
    assert (found.traffic.bytes_in, found.traffic.bytes_out) == (len(asked), len(got))


async def test_a_client_that_left_counts_as_a_request_without_answer(rig: Rig) -> None:
    await rig.serve(silent)
    line = await rig.connect()
    await line.send(request())
    await until(lambda: rig.in_flight() == 1)

    line.close()

    await until(lambda: rig.in_flight() == 0)
    assert counted(rig).traffic.answers == {"none": 1}


async def test_counts_outlive_their_task_and_their_deployment(rig: Rig) -> None:
    async def slow(side: AppSide) -> None:
        await side.read_request()
        await side.reader.read(1)
        await side.send(HELLO)

    await rig.serve(slow)
    task = next(iter(rig.router.published(DEPLOYMENT)))
    line = await rig.connect()
    await line.send(request())
    await until(lambda: rig.in_flight() == 1)
    rig.withdraw(task)
    assert counted(rig).tasks[task].in_flight == 1

    rig.router.unroute(DEPLOYMENT)
    line.close()

    await until(lambda: rig.router.counting.totals().answers[0] == 1)
    assert rig.router.counting.counted(DEPLOYMENT) is None


async def test_hosts_of_nobody_count_for_nobody(rig: Rig) -> None:
    await rig.serve(echo)

    await rig.ask(request(CLOSE).replace(HOST.encode(), b"nobody.localhost"))

    assert counted(rig).traffic.requests == 0
    assert rig.proxy.answered() == {4: 1}


async def test_nothing_is_kept_for_a_deployment_that_never_woke(rig: Rig) -> None:
    assert rig.router.counting.active() == []
    entry = rig.router.resolve(HOST)
    assert entry is not None
    assert (entry.past, entry.wakes) == (None, None)


async def test_the_phases_of_a_wake_add_up(rig: Rig) -> None:
    rig.wakes_with(echo)

    await rig.get()

    wakes = counted(rig).wakes
    assert wakes is not None
    phases = wakes.phases
    assert (wakes.count, phases.first_byte.count) == (1, 1)
    assert phases.queue.last + phases.start.last + phases.ready.last == pytest.approx(wakes.last)
    assert 0 < phases.first_byte.last < 5
