"""The short ways for what repeats itself: they give what the long ways give, to the byte.

The same messages pass three times: whole; cut, so that they take the short ways here and there; and
with readers that never offer a short way. How they are cut must be exact, hence no sockets here.
"""

import asyncio
from dataclasses import dataclass, field

from hypothesis import example, given
from hypothesis import strategies as st

from paas.core.ids import AppId, TaskId
from paas.core.live import Traffic
from paas.proxy.downstream import Downstream
from paas.proxy.limits import ProxyLimits
from paas.proxy.pool import Pool
from paas.proxy.request_heads import RequestReader
from paas.proxy.response_heads import ResponseReader
from paas.proxy.shared import Shared, WaitingRoom
from paas.proxy.upstream import UpstreamConnection
from paas.router import Router
from paas.routes import Rules
from tests.proxy.rig import DEPLOYMENT, HOST, RealClock
from tests.proxy.rig import request as ask
from tests.proxy.test_pure import cut

OK = b"HTTP/1.1 200 OK\r\n"
REQUESTS = {
    "plain": ask(),
    "other": ask(b"X-Other: 1", target=b"/other"),
    "crawler": ask(b"User-Agent: googlebot"),
    "head": ask(method=b"HEAD"),
    "post": ask(b"Content-Length: 5", method=b"POST", body=b"hello"),
    "empty post": ask(b"Content-Length: 0", method=b"POST"),
    "expecting": ask(b"Content-Length: 5", b"Expect: 100-continue", method=b"POST", body=b"hello"),
    "closing": ask(b"Connection: close"),
    "upgrading": ask(b"Connection: upgrade", b"Upgrade: echo"),
    "old": b"GET / HTTP/1.0\r\nHost: %b\r\n\r\n" % HOST.encode(),
    "old and staying": b"GET / HTTP/1.0\r\nHost: %b\r\nConnection: keep-alive\r\n\r\n" % HOST.encode(),
    "to nobody": b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n",
    "to no name": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    # Cut before the inner one, its second part looks like the last request.
    "embedding": b"GET /outer HTTP/1.1\r\nX-Inner: " + ask(),
    "two": ask() + ask(target=b"/second"),
}
ANSWERS = {
    "plain": OK + b"Content-Length: 5\r\n\r\nhello",
    "same size": OK + b"Content-Length: 5\r\n\r\nworld",
    "other": OK + b"X-Other: 1\r\nContent-Length: 3\r\n\r\nhey",
    "empty": OK + b"Content-Length: 0\r\n\r\n",
    "closing": OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
    "old": b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "missing": b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone",
    "none": b"HTTP/1.1 204 No Content\r\n\r\n",
    "unchanged": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "chunked": OK + b"Transfer-Encoding: chunked\r\n\r\n",
    "too much": OK + b"Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
    "hop by hop": OK + b"Connection: X-Inner\r\nX-Inner: 1\r\nContent-Length: 5\r\n\r\nhello",
}
# The same for answers, whose last one is remembered unless its head is long.
ANSWERS["embedding in head"] = OK + b"X-Inner: " + ANSWERS["plain"]
ANSWERS["embedding in body"] = (
    OK + b"X-Long: %b\r\nContent-Length: %d\r\n\r\n" % (b"x" * 2100, len(ANSWERS["plain"])) + ANSWERS["plain"]
)
LAST_CHUNKS = {"chunked": b"5\r\nhello\r\n0\r\n\r\n"}  # never cut: chunks are passed on as they come


class LongRequests(RequestReader):
    """Reads as ever, and never lets a request repeat the last one."""

    @property
    def plain_raw(self) -> bytes:
        return b""

    @plain_raw.setter
    def plain_raw(self, _: bytes) -> None: ...


class LongAnswers(ResponseReader):
    """Reads as ever, and never lets an answer end at once."""

    @property
    def plain_size(self) -> int:
        return 0

    @plain_size.setter
    def plain_size(self, _: int) -> None: ...


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.written += b"(end)"

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


@dataclass(frozen=True)
class Step:
    request: str = "plain"
    answer: str = "plain"
    unsent: int = 0  # bytes of a request with a body that the client keeps until it is answered
    drains: bool = False
    request_cuts: list[int] = field(default_factory=list)
    answer_cuts: list[int] = field(default_factory=list)


class Stage:
    """One client, one app, and between them what is tested."""

    def __init__(self, *, long_ways: bool = False) -> None:
        self._long_ways = long_ways
        limits, clock = ProxyLimits(), RealClock()
        self.router = Router(clock, lambda _: None)
        self.router.route(DEPLOYMENT, AppId("app-1"), (HOST,), Rules())
        self.router.publish(DEPLOYMENT, TaskId("task-1"), "127.0.0.1", 1)
        self.pool = Pool(limits, asyncio.TaskGroup())
        self.shared = Shared(
            router=self.router, clock=clock, limits=limits, pool=self.pool, room=WaitingRoom(limits)
        )
        self.client = Downstream(self.shared, lambda _: None)
        if long_ways:
            self.client._reader = LongRequests()
        self.to_client = Wire()
        self.client.connection_made(self.to_client)
        self.connections: list[tuple[UpstreamConnection, Wire]] = []

    def play(self, step: Step, *, whole: bool) -> None:
        """Send a request and answer what the app is asked, in one part each or cut."""
        self.shared.draining |= step.drains
        self._provide_connection()
        raw = REQUESTS[step.request]
        sent = raw[: len(raw) - (step.unsent if raw.endswith(b"hello") else 0)]
        for part in [sent] if whole else cut(sent, step.request_cuts):
            if part and not self.to_client.closed:
                self.client.data_received(part)
        for _ in range(2 if step.request == "two" else 1):
            self._answer(step, whole=whole)
        self.to_client.written += b"|"

    def _provide_connection(self) -> None:
        """Keep one connection more in the pool than a step can use up."""
        while sum(not wire.closed for _, wire in self.connections) < 2:
            entry = self.router.resolve(HOST)
            assert entry is not None
            connection, wire = UpstreamConnection(self.pool, entry.upstreams[0]), Wire()
            if self._long_ways:
                connection._reader = LongAnswers()
            connection.connection_made(wire)
            self.pool.put(connection)
            self.connections.append((connection, wire))

    def _answer(self, step: Step, *, whole: bool) -> None:
        for connection, wire in self.connections:
            if connection._asker is not None and not wire.closed:
                raw, last = ANSWERS[step.answer], LAST_CHUNKS.get(step.answer, b"")
                for part in [raw + last] if whole else [*cut(raw, step.answer_cuts), last]:
                    if part and not wire.closed:
                        connection.data_received(part)
                return

    def outcome(self) -> object:
        wires = [self.to_client, *(wire for _, wire in self.connections)]
        in_flight = self.router.demand(DEPLOYMENT).in_flight
        nowhere = self.shared.nowhere.tally().traffic()
        return [(wire.written, wire.closed) for wire in wires], in_flight, nowhere, self._counted()

    def _counted(self) -> Traffic:
        counted = self.router.counting.counted(DEPLOYMENT)
        assert counted is not None
        return counted.traffic


CUTS = st.lists(st.integers(min_value=0, max_value=200), max_size=3)
# A choice between two, so that most steps repeat the one before.
STEPS = st.lists(
    st.builds(
        Step,
        request=st.just("plain") | st.sampled_from(sorted(REQUESTS)),
        answer=st.just("plain") | st.sampled_from(sorted(ANSWERS)),
        unsent=st.sampled_from([0, 0, 0, 2, 5]),
        drains=st.sampled_from([False] * 9 + [True]),
        request_cuts=CUTS,
        answer_cuts=CUTS,
    ),
    min_size=2,
    max_size=8,
)


def halved(request: str = "plain", answer: str = "plain", *, unsent: int = 0, drains: bool = False) -> Step:
    return Step(request, answer, unsent, drains, request_cuts=[30], answer_cuts=[20])


def cut_before_inner(request: str = "plain", answer: str = "plain") -> Step:
    inner_request, inner_answer = -1 - len(REQUESTS["plain"]), -1 - len(ANSWERS["plain"])
    return Step(request, answer, request_cuts=[inner_request], answer_cuts=[inner_answer])


@given(STEPS)
@example([halved(), halved(), halved()])
@example([halved(), halved("head"), halved()])
@example([halved(), halved("post", unsent=2), halved()])
@example([halved(), halved(drains=True), halved()])
@example([halved(), halved("old")])
@example([halved(), halved("closing")])
@example([halved(), halved(answer="too much"), halved()])
@example([halved("post"), halved("post", unsent=5), halved()])
@example([halved(), cut_before_inner("embedding")])
@example([halved(), cut_before_inner(answer="embedding in head")])
@example([halved(), cut_before_inner(answer="embedding in body"), halved()])
def test_what_repeats_itself_is_treated_as_if_it_were_new(steps: list[Step]) -> None:
    short, cut_short, cut_long = Stage(), Stage(), Stage(long_ways=True)

    for step in steps:
        short.play(step, whole=True)
        cut_short.play(step, whole=False)
        cut_long.play(step, whole=False)

        assert short.outcome() == cut_short.outcome() == cut_long.outcome()
