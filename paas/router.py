"""Host to deployment, deployment to live upstreams; counts what is in flight. Memory only.

Everything here is a plain function on the event loop: between choosing an upstream and
counting the request there is no await, so a stop cannot slip in between.
"""

import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator

from paas.core.ids import AppId, DeploymentId, TaskId
from paas.core.live import Demand, Live, Refusal, WakeStats
from paas.core.ports import Clock
from paas.counting import Counting, demand_of
from paas.routes import Entry, Ports, Rules, Upstream, Waiter
from paas.tallies import WakeLog

ITS_OWN = 1  # host, the preview, that no version loses to another


class Router:
    def __init__(self, clock: Clock, poke: Callable[[DeploymentId], None]) -> None:
        self._clock = clock
        self._poke = poke
        self._entries: dict[DeploymentId, Entry] = {}
        self._hosts: dict[str, Entry] = {}
        self.ports = Ports()
        self._draining: dict[TaskId, Upstream] = {}  # withdrawn, with requests still open
        self._rules: dict[Rules, Rules] = {}
        self.counting = Counting(self._entries, self._draining)
        self._on_withdrawn: list[Callable[[Upstream], None]] = []
        self._wake: Callable[[DeploymentId], bool] = _wake_nothing

    # For the proxy

    def resolve(self, host: str) -> Entry | None:
        """Find who answers to a host: lower case, without port and trailing dot."""
        return self._hosts.get(host)

    def take(self, entry: Entry, *, counts_as_use: bool = True) -> Upstream | None:
        """Choose the upstream with the least in flight, in turn among equals, and count the request.

        None: it is asleep.
        """
        upstreams = entry.upstreams
        if not upstreams:
            return None
        chosen = upstreams[0]
        if len(upstreams) > 1:
            turn = entry.turn = (entry.turn + 1) % len(upstreams)
            chosen = min(upstreams[turn:] + upstreams[:turn], key=_in_flight)
        chosen.in_flight += 1
        if counts_as_use and not entry.demoted:
            entry.last_used = self._clock.now()
        return chosen

    def give_back(self, upstream: Upstream, *, counts_as_use: bool = True) -> None:
        """End what `take` counted: exactly once for each."""
        upstream.in_flight -= 1
        entry = upstream.entry
        if upstream.withdrawn:
            if not upstream.in_flight:
                self._draining.pop(upstream.task_id, None)
                entry.tally().add(upstream.tally)
                if upstream.on_drained is not None:
                    upstream.on_drained()
            return
        if counts_as_use and not entry.demoted:
            entry.last_used = self._clock.now()
        if entry.poke_when_idle and not upstream.in_flight:
            entry.poke_when_idle = False
            self._poke(entry.deployment_id)

    def wait(
        self,
        entry: Entry,
        resume: Callable[[Upstream | Refusal], None],
        *,
        counts_as_use: bool = True,
    ) -> Waiter:
        """Ask for an upstream. Waiting is the demand that wakes a deployment.

        `resume` is called once, from `publish` with an upstream already counted for it, or from
        `refuse`; never from within this call, and never after `cancel`.
        """
        waiter = Waiter(entry, resume, counts_as_use=counts_as_use)
        if entry.waiters is None:
            entry.waiters = {}
        if not entry.waiters:
            entry.waiting_since = self._clock.monotonic()
        entry.waiters[waiter] = None
        if not self._wake(entry.deployment_id):
            self._poke(entry.deployment_id)
        return waiter

    def count_refused(self, entry: Entry, kind: str) -> None:
        """Note a request that was not let wake a sleeping app (`crawlers`, `probes`, ...)."""
        if entry.refused is None:
            entry.refused = {}
        entry.refused[kind] = entry.refused.get(kind, 0) + 1

    def on_withdrawn(self, callback: Callable[[Upstream], None]) -> None:
        """Be told when an upstream takes no new requests, to close pooled connections."""
        self._on_withdrawn.append(callback)

    def wake_stats(self, entry: Entry) -> WakeStats | None:
        return None if entry.wakes is None else entry.wakes.stats()

    def note_first_byte(self, entry: Entry, seconds: float) -> None:
        """Note that a request which had waited gets its answer, so long after a task was ready."""
        if entry.wakes is not None:
            entry.wakes.note_first_byte(seconds)

    # For the engine

    @contextlib.contextmanager
    def woken_by(self, wake: Callable[[DeploymentId], bool]) -> Iterator[None]:
        """Have a deployment woken in the moment that somebody waits for it; if that says no, it is poked."""
        self._wake = wake
        try:
            yield
        finally:
            self._wake = _wake_nothing

    def route(self, deployment_id: DeploymentId, app_id: AppId, hosts: Iterable[str], rules: Rules) -> None:
        """Set which hosts lead to a deployment. The last claim of a host wins.

        A host it no longer has leads to it until another claims it, so that none leads nowhere between.
        """
        entry = self._entries.get(deployment_id)
        if entry is None:
            entry = self._entries[deployment_id] = Entry(deployment_id, app_id)
        entry.hosts = tuple(hosts)
        losers = []
        for host in entry.hosts:
            previous = self._hosts.get(host)
            if previous is not None and previous is not entry:
                losers.append(previous)
            if rules.speaks_http:
                self._hosts[host] = entry
            elif previous is not None:
                del self._hosts[host]
        for loser in losers:
            # One that lost the app's host, and not that of its environment, is used as before.
            if sum(self._hosts.get(host) is loser for host in loser.hosts) <= ITS_OWN:
                loser.demote()
        entry.rules = self._rules.setdefault(rules, rules)

    def route_port(self, deployment_id: DeploymentId, port: int | None, *, takes: bool) -> None:
        """Set the port that leads to a deployment: `port` is that of its environment, None if none is open.

        One deployment there takes it. Another that has it keeps it until then, so that the port never
        leads nowhere between the two.
        """
        entry = self._entries.get(deployment_id)
        if entry is not None:
            self.ports.lead(entry, port, takes=takes)

    def unroute(self, deployment_id: DeploymentId) -> None:
        """Forget a deployment that will never serve again; its waiters are refused."""
        entry = self._entries.get(deployment_id)
        if entry is None:
            return
        self.refuse(deployment_id, Refusal(reason="it was removed", until=None))
        for upstream in entry.upstreams:
            self.withdraw(deployment_id, upstream.task_id)
        self.counting.keep(entry)
        self._hosts = {host: found for host, found in self._hosts.items() if found is not entry}
        self.ports.drop(entry)
        del self._entries[deployment_id]

    def publish(
        self,
        deployment_id: DeploymentId,
        task_id: TaskId,
        host: str,
        port: int,
        accepted: socket.socket | None = None,
        *,
        submitted_at: float | None = None,
        started_at: float | None = None,
    ) -> None:
        """Let a ready task take traffic, and resume everyone who waited. Repeatable.

        `accepted` is an unused connection to it, for the first who waited; closed if nobody took it.
        When its start was submitted and when the driver had done it, in monotonic seconds, is for
        the phases of the wake.
        """
        entry = self._entries.get(deployment_id)
        if entry is None or any(up.task_id == task_id for up in entry.upstreams):
            if accepted is not None:
                accepted.close()
            return
        upstream = Upstream(entry, task_id, host, port, accepted)
        entry.upstreams = (*entry.upstreams, upstream)
        entry.refusal = None
        entry.demoted = False
        entry.last_used = self._clock.now()
        if entry.waiting_since is not None:
            if entry.wakes is None:
                entry.wakes = WakeLog()
            entry.wakes.note(entry.waiting_since, submitted_at, started_at, self._clock.monotonic())
        for waiter in self._take_waiters(entry):
            chosen = self.take(entry, counts_as_use=waiter.counts_as_use)
            if chosen is not None:
                waiter.resume(chosen)
        unused = upstream.take_accepted()
        if unused is not None:
            unused.close()  # a server that takes one at a time would wait for it

    def withdraw(self, deployment_id: DeploymentId, task_id: TaskId, *, only_if_idle: bool = False) -> bool:
        """Send a task no new requests. Says no, and changes nothing, if it must be idle and is not."""
        entry = self._entries.get(deployment_id)
        upstream = _find(entry, task_id)
        if entry is None or upstream is None:
            return True
        if only_if_idle and upstream.in_flight:
            return False
        entry.upstreams = tuple(up for up in entry.upstreams if up is not upstream)
        upstream.withdrawn = True
        if upstream.in_flight:
            self._draining[task_id] = upstream
        elif not upstream.tally.is_empty():
            entry.tally().add(upstream.tally)
        for callback in self._on_withdrawn:
            callback(upstream)
        return True

    def refuse(self, deployment_id: DeploymentId, refusal: Refusal | None) -> None:
        """Answer all who wait, and all who come, with a reason; None ends it."""
        entry = self._entries.get(deployment_id)
        if entry is None:
            return
        entry.refusal = refusal
        if refusal is None:
            return
        for waiter in self._take_waiters(entry):
            waiter.resume(refusal)

    def demand(self, deployment_id: DeploymentId) -> Demand:
        entry = self._entries.get(deployment_id)
        if entry is None:
            return Demand(waiting=0, in_flight=0, last_used=0.0)
        return demand_of(entry)

    def published(self, deployment_id: DeploymentId) -> dict[TaskId, int]:
        """List the tasks that take traffic, with what each has in flight."""
        entry = self._entries.get(deployment_id)
        return {up.task_id: up.in_flight for up in entry.upstreams} if entry else {}

    def when_drained(self, task_id: TaskId, callback: Callable[[], None]) -> bool:
        """Call back once the last request of a withdrawn task has ended; no if none is open."""
        upstream = self._draining.get(task_id)
        if upstream is None:
            return False
        upstream.on_drained = callback
        return True

    def note_frozen(self, deployment_id: DeploymentId, task_ids: Iterable[TaskId]) -> None:
        """Note, for `live` to tell, which tasks would serve as soon as they are thawed."""
        entry = self._entries.get(deployment_id)
        if entry is not None:
            entry.frozen = frozenset(task_ids)

    def poke_when_idle(self, deployment_id: DeploymentId) -> None:
        """Ask for a poke when a request ends and leaves a task with none."""
        entry = self._entries.get(deployment_id)
        if entry is not None:
            entry.poke_when_idle = True

    def live(self, deployment_id: DeploymentId) -> Live | None:
        entry = self._entries.get(deployment_id)
        if entry is None:
            return None
        return Live(
            hosts=entry.hosts,
            demand=self.demand(deployment_id),
            ready_tasks=frozenset(upstream.task_id for upstream in entry.upstreams),
            frozen_tasks=entry.frozen,
            refusal=entry.refusal,
            wakes=self.wake_stats(entry),
            refused=dict(entry.refused or {}),
            port=entry.port,
            port_problem=None if entry.port is None else self.ports.problem(entry.port),
        )

    def _take_waiters(self, entry: Entry) -> list[Waiter]:
        """Empty the queue, oldest first."""
        waiters = list(entry.waiters or ())
        entry.waiters = None
        entry.waiting_since = None
        return waiters


def _wake_nothing(_: DeploymentId) -> bool:
    return False


def _in_flight(upstream: Upstream) -> int:
    return upstream.in_flight


def _find(entry: Entry | None, task_id: TaskId) -> Upstream | None:
    if entry is None:
        return None
    return next((up for up in entry.upstreams if up.task_id == task_id), None)
