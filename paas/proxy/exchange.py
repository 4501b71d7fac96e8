"""One request on its way: who takes it, and what it waits for. How its answer comes back: `answering`.

The warm path is calls only: `begin`, `_send`, `respond_at_once`.
"""

import asyncio

from paas.core.live import Refusal
from paas.proxy import pages
from paas.proxy.answering import Answering
from paas.proxy.fields import passing_trailers
from paas.proxy.framing import chunk, last_chunk
from paas.proxy.request_heads import to_upstream
from paas.proxy.response_heads import ResponseHead, to_client
from paas.proxy.sides import Connection, Trailers
from paas.proxy.tunnel import Tunnel
from paas.routes import Upstream, Waiter
from paas.tallies import NONE


class Exchange(Answering):
    _waiter: Waiter | None = None
    _held_bytes = 0
    _retried = False

    # From the client's side

    def begin(self) -> None:
        head, router = self.head, self._shared.router
        host = head.name
        if host is None:
            self._entry = self._shared.nowhere
            self._answer(pages.malformed(400, "the Host field is malformed"), close=True)
            return
        entry = router.resolve(host)
        if entry is None:
            self._entry = self._shared.nowhere
            self._answer(pages.unknown_host(host))
            return
        self._entry = entry
        kind = self._bystander = head.kind(entry.rules)
        upstream = router.take(entry, counts_as_use=kind is None)
        if upstream is None:
            self._wake()
        else:
            self._use(upstream)

    def send_body(self, pieces: list[bytes], trailers: Trailers | None, *, size: int) -> None:
        """Pass on content of the request, `size` bytes as they came; `trailers` are None while it goes on."""
        self._tally().bytes_in += size
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
        if not self._begun and not self._ended:
            self._count(NONE)
        self._leave_room()
        self._release()

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

    def switch(self, head: ResponseHead, connection: Connection, rest: bytes) -> None:
        if not self.head.upgrade or self._client.body_is_pending():
            connection.drop()
            self._answer(pages.broken("the app switched protocols unasked"))
            return
        self._count(1)
        upgrade = head.upgrade or self.head.upgrade
        answer = to_client(head, b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade, chunked=False)
        app = connection.detach()
        client, early = self._client.hand_over()
        tally = self._tally()
        tunnel = Tunnel(client, app, self._tunnel_ended, tally)
        self._shared.tunnels.add(tunnel)
        client.write(answer + rest)
        tally.bytes_out += len(answer) + len(rest)
        tally.bytes_in += len(early)
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
            if self._shared.router.resolve(self.head.name or "") is not self._entry:
                self.begin()  # another version took its host over meanwhile
            else:
                self._answer(pages.refused(result, self._shared.clock.now()))
            return
        now = self._shared.clock.monotonic()
        self._woken_after = now - self.started_at
        self.started_at = now
        self._use(result)

    def _refuse_for_now(self, reason: str) -> None:
        self._answer(pages.not_now(reason, self._shared.router.wake_stats(self._entry)))

    def _tunnel_ended(self, tunnel: Tunnel) -> None:
        self._shared.forget_tunnel(tunnel)
        self._give_back()

    def _leave_room(self) -> None:
        if self._waiter is not None:
            self._waiter.cancel()
            self._waiter = None
            self._shared.room.leave(self._held_bytes)
