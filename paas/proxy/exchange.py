"""One request on its way: who takes it, what it waits for, and how its answer comes back.

The warm path is calls only: `begin`, `_send`, `respond`, `_end`. What `Router.take` or a wake has
counted is given back in `_give_back`, exactly once for each.
"""

import asyncio

from paas.core.model import Refusal
from paas.proxy import pages
from paas.proxy.fields import passing_trailers
from paas.proxy.framing import chunk, last_chunk
from paas.proxy.pages import Page
from paas.proxy.request_heads import RequestHead, to_upstream
from paas.proxy.response_heads import CONTINUE, ResponseHead, to_client
from paas.proxy.shared import Shared
from paas.proxy.sides import Client, Connection, Trailers
from paas.proxy.tunnel import Tunnel
from paas.proxy.wake_policy import Bystander
from paas.router import Entry, Upstream, Waiter

CONTINUE_ANSWER = b"HTTP/1.1 100 Continue\r\n\r\n"


class Exchange:
    # Defaults stand in the class: a warm request changes few of them, and each of them costs.
    _entry: Entry
    _bystander: Bystander | None = None
    _upstream: Upstream | None = None  # counted in the router as long as it is set
    _connection: Connection | None = None
    _waiter: Waiter | None = None
    _held_bytes = 0
    _woken_after: float | None = None  # seconds
    _begun = False  # some of the final answer has been sent
    _has_end = True  # the app said how long its answer is
    _client_ended = False
    _continued = False  # 100 Continue has been sent
    _chunked_out = False
    _keep = False
    _retried = False
    _ended = False

    def __init__(self, shared: Shared, client: Client, head: RequestHead) -> None:
        self._shared = shared
        self._client = client
        self.head = head
        self.method = head.method
        self.started_at = shared.now

    # From the client's side

    def begin(self) -> None:
        head, router = self.head, self._shared.router
        host = head.name
        if host is None:
            self._answer(pages.malformed(400, "the Host field is malformed"), close=True)
            return
        entry = router.resolve(host)
        if entry is None:
            self._answer(pages.unknown_host(host))
            return
        self._entry = entry
        kind = self._bystander = head.kind(entry.rules)
        upstream = router.take(entry, counts_as_use=kind is None)
        if upstream is None:
            self._wake()
        else:
            self._use(upstream)

    def send_body(self, pieces: list[bytes], trailers: Trailers | None) -> None:
        """Pass on content of the request; `trailers` are None while it goes on."""
        connection = self._connection
        if connection is None or connection.transport.is_closing():
            return
        if self.head.chunked:
            out = chunk(pieces)
            if trailers is not None:
                out.append(last_chunk(passing_trailers(trailers)))
        else:
            out = pieces
        connection.transport.writelines(out)
        if trailers is not None:
            connection.request_sent = True

    def client_is_gone(self) -> None:
        self._leave_room()
        self._release()

    def client_has_ended(self) -> None:
        """Tell the app, in the midst of a stream, that its client ended its side.

        Such a client has mostly left, and a quiet stream would keep the app awake until the kernel
        knows. The app decides, as if it were asked directly: most end the stream, some write on.
        """
        self._client_ended = True
        if self._begun and not self._has_end and self._connection is not None:
            self._connection.end_request()

    def client_is_full(self) -> None:
        if self._connection is not None:
            self._connection.pause()

    def client_has_room(self) -> None:
        if self._connection is not None:
            self._connection.resume()

    def refuse(self, status: int, reason: str) -> None:
        """End it because of what the client sent; mid-answer, that can only be a broken connection."""
        if self._begun:
            self._break()
        else:
            self._answer(pages.malformed(status, reason), close=True)

    def look_again(self, now: float) -> None:
        """Do what is due by time: end a wait that was too long, and help a body over a silent app."""
        if self._waiter is not None:
            if now - self.started_at > self._shared.limits.wake_patience_secs:
                self._leave_room()
                self._refuse_for_now("the app did not wake in time")
        elif self._connection is not None and self._is_expecting() and now > self.started_at:
            self._let_continue()  # many programs read on without ever answering 100

    def probe(self) -> None:
        """Find out whether a client that ended its side is gone: its kernel then answers with a reset.

        RFC 9110, section 15.2: a client must understand 1xx answers it did not ask for.
        """
        if self.head.minor and not self._begun and not self._continued:
            self._let_continue()

    # From the app's side

    def connected(self, connection: Connection) -> None:
        if self._ended:
            connection.drop()
        elif connection.transport.is_closing():
            self.connect_failed("cannot connect to the app: it closed the connection at once")
        else:
            self._send(connection)

    def connect_failed(self, reason: str) -> None:
        if self._ended:
            return
        if self._retried:
            self._answer(pages.broken(reason))
            return
        self._retried = True
        # A task that has just ended is about to be withdrawn; the next try then wakes a fresh one.
        asyncio.get_running_loop().call_later(self._shared.limits.retry_pause_secs, self._retry)

    def inform(self, head: ResponseHead) -> None:
        if self.head.minor == 0:
            return
        if head.status != CONTINUE:
            self._client.write([to_client(head, b"", chunked=False)])
        elif self._is_expecting():
            self._let_continue()

    def respond(self, head: ResponseHead, pieces: list[bytes], trailers: Trailers | None) -> None:
        request, shared, client = self.head, self._shared, self._client
        self._begun = True
        shared.answers[head.status // 100] += 1
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
        shared.answers[head.status // 100] += 1
        self._connection = None
        client = self._client
        client.transport.write(head.plain + content)
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            shared.router.give_back(upstream, counts_as_use=self._bystander is None)
        client.done(keep=True)

    def relay(self, pieces: list[bytes], trailers: Trailers | None) -> None:
        self._pass_on([], pieces, trailers)

    def switch(self, head: ResponseHead, connection: Connection, rest: bytes) -> None:
        if not self.head.upgrade or self._client.body_is_pending():
            connection.drop()
            self._answer(pages.broken("the app switched protocols unasked"))
            return
        self._shared.answers[1] += 1
        upgrade = head.upgrade or self.head.upgrade
        answer = to_client(head, b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade, chunked=False)
        app = connection.detach()
        client, early = self._client.hand_over()
        tunnel = Tunnel(client, app, self._tunnel_ended)
        self._shared.tunnels.add(tunnel)
        client.write(answer + rest)
        if early:
            app.write(early)

    def fail(self, reason: str, connection: Connection) -> None:
        self._connection = None
        if self._begun:
            self._break()
        elif not connection.heard and connection.reused and self.head.is_replayable() and not self._retried:
            self._retried = True
            self._retry()
        else:
            self._answer(pages.broken(reason))

    def app_is_full(self) -> None:
        self._client.app_is_full()

    def app_has_room(self) -> None:
        self._client.app_has_room()

    # The way there

    def _use(self, upstream: Upstream) -> None:
        self._upstream = upstream
        connection = None if self._retried else self._shared.pool.take(upstream)
        if connection is None:
            self._shared.pool.connect(upstream, self)
        else:
            self._send(connection)

    def _send(self, connection: Connection) -> None:
        self._connection = connection
        head = self.head
        has_body = head.chunked or head.length > 0
        written = head.written or to_upstream(head, self._client.forwarded)
        connection.send(self, written, is_whole=not has_body)
        if has_body:
            self._client.let_body_flow()

    def _retry(self) -> None:
        if self._ended:
            return
        self._give_back()
        upstream = self._shared.router.take(self._entry, counts_as_use=self._bystander is None)
        if upstream is None:
            self._wake()
        else:
            self._use(upstream)

    def _wake(self) -> None:
        """Wait for the deployment to wake, unless this request may not wake it or cannot wait."""
        shared, entry = self._shared, self._entry
        if entry.refusal is not None:
            self._answer(pages.refused(entry.refusal, shared.clock.now()))
        elif self._bystander is not None:
            shared.router.count_refused(entry, self._bystander)
            wakes = shared.router.wake_stats(entry)
            self._answer(pages.asleep(self._bystander, self.head.target, wakes))
        else:
            self._held_bytes = self.head.size + self._client.held_bytes()
            if not shared.room.enter(entry, self._held_bytes):
                self._refuse_for_now("too many requests wait for the app to wake")
                return
            self._client.hold_body()
            self.started_at = shared.clock.monotonic()
            self._waiter = shared.router.wait(entry, self._woken)

    def _woken(self, result: Upstream | Refusal) -> None:
        self._shared.room.leave(self._held_bytes)
        self._waiter = None
        if isinstance(result, Refusal):
            self._answer(pages.refused(result, self._shared.clock.now()))
            return
        now = self._shared.clock.monotonic()
        self._woken_after = now - self.started_at
        self.started_at = now
        self._use(result)

    # The way back

    def _pass_on(self, out: list[bytes], pieces: list[bytes], trailers: Trailers | None) -> None:
        out += chunk(pieces) if self._chunked_out else pieces
        if trailers is None:
            self._client.write(out)
            return
        self._connection = None  # in the pool again: what the client's buffer does is no business of its
        if self._chunked_out:
            out.append(last_chunk(passing_trailers(trailers)))
        self._client.write(out)
        self._end(keep=self._keep)

    def _is_expecting(self) -> bool:
        return self.head.expects_continue and not self._continued and not self._begun

    def _let_continue(self) -> None:
        self._continued = True
        self._client.write([CONTINUE_ANSWER])

    def _answer(self, page: Page, *, close: bool = False) -> None:
        """Answer in the app's place."""
        head = self.head
        keep = not (close or self._shared.draining or self._client.body_is_pending()) and head.stays_open()
        extra = b"Connection: keep-alive\r\n" if keep and not head.minor else b""
        self._begun = True
        self._shared.answers[page.status // 100] += 1
        self._client.write([page.write(close=not keep, head_only=head.method == b"HEAD", extra=extra)])
        self._end(keep=keep)

    def _refuse_for_now(self, reason: str) -> None:
        self._answer(pages.not_now(reason, self._shared.router.wake_stats(self._entry)))

    def _tunnel_ended(self, tunnel: Tunnel) -> None:
        self._shared.tunnels.discard(tunnel)
        self._give_back()

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

    def _leave_room(self) -> None:
        if self._waiter is not None:
            self._waiter.cancel()
            self._waiter = None
            self._shared.room.leave(self._held_bytes)

    def _give_back(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            self._shared.router.give_back(upstream, counts_as_use=self._bystander is None)
