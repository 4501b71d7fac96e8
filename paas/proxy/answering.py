"""The way back of an exchange: the app's answer, or ours in its place, and what ends with it.

What `Router.take` has counted is given back in `_give_back`, exactly once for each.
"""

from paas.proxy.fields import passing_trailers
from paas.proxy.framing import chunk, last_chunk
from paas.proxy.pages import Page
from paas.proxy.request_heads import RequestHead
from paas.proxy.response_heads import CONTINUE, ResponseHead, to_client
from paas.proxy.shared import Shared
from paas.proxy.sides import Client, Connection, Trailers
from paas.proxy.wake_policy import Bystander
from paas.routes import Entry, Upstream
from paas.tallies import Tally

CONTINUE_ANSWER = b"HTTP/1.1 100 Continue\r\n\r\n"


class Answering:
    """What an exchange does once the app speaks, or once it is clear that it will not."""

    _entry: Entry  # from `begin` on

    # Defaults stand in the class: a warm request changes few of them, and each of them costs.
    _bystander: Bystander | None = None
    _upstream: Upstream | None = None  # counted in the router as long as it is set
    _connection: Connection | None = None
    _woken_after: float | None = None  # seconds
    _begun = False  # some of the final answer has been sent
    _has_end = True  # the app said how long its answer is
    _client_ended = False
    _continued = False  # 100 Continue has been sent
    _chunked_out = False
    _keep = False
    _ended = False

    def __init__(self, shared: Shared, client: Client, head: RequestHead) -> None:
        self._shared = shared
        self._client = client
        self.head = head
        self.method = head.method
        self.started_at = shared.now

    def client_has_ended(self) -> None:
        """Tell the app, in the midst of a stream, that its client ended its side.

        Such a client has mostly left, and a quiet stream would keep the app awake until the kernel
        knows. The app decides, as if it were asked directly: most end the stream, some write on.
        """
        self._client_ended = True
        if self._begun and not self._has_end and self._connection is not None:
            self._connection.end_request()

    def inform(self, head: ResponseHead) -> None:
        if self.head.minor == 0:
            return
        if head.status != CONTINUE:
            self._write([to_client(head, b"", chunked=False)])
        elif self._is_expecting():
            self._let_continue()

    def respond(self, head: ResponseHead, pieces: list[bytes], trailers: Trailers | None) -> None:
        request, shared, client = self.head, self._shared, self._client
        self._begun = True
        self._count(head.status // 100)
        has_end = head.length is not None or not head.has_body(request.method)
        self._has_end = has_end
        self._chunked_out = not has_end and request.minor > 0
        keep = request.stays_open() and (has_end or self._chunked_out) and not shared.draining
        if keep and client.body_is_pending() and (self._is_expecting() or head.status >= 400):  # noqa: PLR2004
            keep = False  # whether the body still comes is not known
        self._keep = keep
        extra = b"" if keep else b"Connection: close\r\n"
        if keep and not request.minor:
            extra = b"Connection: keep-alive\r\n"
        if self._woken_after is not None:
            extra += b"Server-Timing: wake;dur=%.1f\r\n" % (self._woken_after * 1000)
        chunked = self._chunked_out or (head.chunked and request.minor > 0)
        if self._woken_after is not None:
            shared.router.note_first_byte(self._entry, shared.clock.monotonic() - self.started_at)
        self._pass_on([to_client(head, extra, chunked=chunked)], pieces, trailers)
        if self._client_ended:
            self.client_has_ended()

    def respond_at_once(self, head: ResponseHead, content: bytes) -> None:
        """Do what `respond` does, in fewer steps, where nothing has to be adapted.

        Safe since `head.plain` is what `respond` wrote for a plain request whose connection stays open.
        """
        shared = self._shared
        if not self.head.is_plain or shared.draining or self._woken_after is not None or self._client_ended:
            self.respond(head, [content], ())
            return
        self._begun = self._ended = True
        self._connection = None
        client = self._client
        out = head.plain + content
        client.transport.write(out)
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            tally = upstream.tally
            tally.answers[head.status // 100] += 1
            tally.bytes_in += self.head.size
            tally.bytes_out += len(out)
            shared.router.give_back(upstream, counts_as_use=self._bystander is None)
        client.done(keep=True)

    def relay(self, pieces: list[bytes], trailers: Trailers | None) -> None:
        self._pass_on([], pieces, trailers)

    # For the exchange

    def _answer(self, page: Page, *, close: bool = False) -> None:
        """Answer in the app's place."""
        head = self.head
        keep = not (close or self._shared.draining or self._client.body_is_pending()) and head.stays_open()
        extra = b"Connection: keep-alive\r\n" if keep and not head.minor else b""
        self._begun = True
        self._count(page.status // 100)
        self._write([page.write(close=not keep, head_only=head.method == b"HEAD", extra=extra)])
        self._end(keep=keep)

    def _pass_on(self, out: list[bytes], pieces: list[bytes], trailers: Trailers | None) -> None:
        out += chunk(pieces) if self._chunked_out else pieces
        if trailers is None:
            self._write(out)
            return
        self._connection = None  # in the pool again: what the client's buffer does is no business of its
        if self._chunked_out:
            out.append(last_chunk(passing_trailers(trailers)))
        self._write(out)
        self._end(keep=self._keep)

    def _is_expecting(self) -> bool:
        return self.head.expects_continue and not self._continued and not self._begun

    def _let_continue(self) -> None:
        self._continued = True
        self._write([CONTINUE_ANSWER])

    def _count(self, status_class: int) -> None:
        """Note the one answer of this request, and its head."""
        tally = self._tally()
        tally.answers[status_class] += 1
        tally.bytes_in += self.head.size

    def _tally(self) -> Tally:
        upstream = self._upstream
        return self._entry.tally() if upstream is None else upstream.tally

    def _write(self, pieces: list[bytes]) -> None:
        self._tally().bytes_out += self._client.write(pieces)

    def _break(self) -> None:
        """Show the client that what it got is not whole."""
        self._release()
        self._client.abort()

    def _end(self, *, keep: bool) -> None:
        self._release()
        self._client.done(keep=keep)

    def _release(self) -> None:
        self._ended = True
        if self._connection is not None:
            self._connection.drop()
            self._connection = None
        self._give_back()

    def _give_back(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            self._shared.router.give_back(upstream, counts_as_use=self._bystander is None)
