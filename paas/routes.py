"""What the router keeps: deployments, their ready tasks, who waits for one."""

import socket
from collections.abc import Callable

from paas.core.ids import AppId, DeploymentId, TaskId
from paas.core.live import Refusal
from paas.core.model import WakePolicy
from paas.core.records import dataclass, field
from paas.tallies import Tally, WakeLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the proxy must know of a deployment besides where it runs; shared when equal."""

    health_path: str | None = None
    speaks_http: bool = True  # False: its hosts lead nowhere, a port of the proxy's leads to it
    wake_policy: WakePolicy = field(default_factory=WakePolicy)


_NO_RULES = Rules()
_NONE: frozenset[TaskId] = frozenset()


class Upstream:
    """A ready task. `in_flight` counts open requests, streams and upgraded connections."""

    __slots__ = (
        "_accepted",
        "entry",
        "host",
        "in_flight",
        "on_drained",
        "port",
        "tally",
        "task_id",
        "withdrawn",
    )

    def __init__(
        self, entry: "Entry", task_id: TaskId, host: str, port: int, accepted: socket.socket | None = None
    ) -> None:
        self.entry = entry
        self.task_id = task_id
        self.host = host
        self.port = port
        self.in_flight = 0
        self.on_drained: Callable[[], None] | None = None
        self.withdrawn = False
        self.tally = Tally()
        self._accepted = accepted

    def take_accepted(self) -> socket.socket | None:
        """Take the connection by which it was found ready, if it is still here: nothing was sent on it."""
        accepted, self._accepted = self._accepted, None
        return accepted


class Waiter:
    """One request that waits for a deployment to wake. `cancel` frees its place."""

    __slots__ = ("_entry", "counts_as_use", "resume")

    def __init__(
        self, entry: "Entry", resume: Callable[[Upstream | Refusal], None], *, counts_as_use: bool
    ) -> None:
        self._entry = entry
        self.resume = resume
        self.counts_as_use = counts_as_use

    def cancel(self) -> None:
        """Leave the queue; nothing changes for the others. Safe after it was resumed."""
        waiters = self._entry.waiters
        if waiters is not None:
            waiters.pop(self, None)


class Entry:
    """One deployment. Most attributes stay None while it sleeps, to keep it small."""

    __slots__ = (
        "app_id",
        "demoted",
        "deployment_id",
        "frozen",
        "hosts",
        "last_used",
        "past",
        "poke_when_idle",
        "port",
        "refusal",
        "refused",
        "rules",
        "turn",
        "upstreams",
        "waiters",
        "waiting_since",
        "wakes",
    )

    def __init__(self, deployment_id: DeploymentId, app_id: AppId) -> None:
        self.deployment_id = deployment_id
        self.app_id = app_id
        self.hosts: tuple[str, ...] = ()
        # It lost its hosts but the preview to another: what its tasks still serve is no use of its own.
        self.demoted = False
        self.port: int | None = None  # of the proxy's, that leads to it
        self.rules: Rules = _NO_RULES
        self.upstreams: tuple[Upstream, ...] = ()
        self.turn = 0
        self.waiters: dict[Waiter, None] | None = None
        self.waiting_since: float | None = None  # monotonic
        self.refusal: Refusal | None = None
        self.frozen: frozenset[TaskId] = _NONE
        self.last_used = 0.0
        self.poke_when_idle = False
        self.wakes: WakeLog | None = None
        self.past: Tally | None = None  # of tasks that take no more traffic, and of answers in their place
        self.refused: dict[str, int] | None = None

    def tally(self) -> Tally:
        """Give what counts for the deployment but for none of its tasks."""
        if self.past is None:
            self.past = Tally()
        return self.past

    def demote(self) -> None:
        """Note that another took its place: what its tasks still serve is no use of its own."""
        self.demoted = True
        self.last_used = 0.0


class Ports:
    """Which port of the proxy's leads to which deployment, and whether the proxy listens there."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._problems: dict[int, str] = {}
        self._on_changed: list[Callable[[], None]] = []

    def resolve(self, port: int) -> Entry | None:
        """Find whom a port leads to."""
        return self._entries.get(port)

    def wanted(self) -> set[int]:
        """List the ports that lead to somebody: those to listen on."""
        return set(self._entries)

    def on_changed(self, callback: Callable[[], None]) -> None:
        """Be told when `wanted` answers something else."""
        self._on_changed.append(callback)

    def note_problem(self, port: int, problem: str | None) -> None:
        """Keep why the proxy does not listen on a port; None: it does."""
        if problem is None:
            self._problems.pop(port, None)
        elif port in self._entries:
            self._problems[port] = problem

    def problem(self, port: int) -> str | None:
        return self._problems.get(port)

    def lead(self, entry: Entry, port: int | None, *, takes: bool) -> None:
        """Let a port lead to a deployment that takes it; whatever other port it had is dropped."""
        if entry.port is not None and entry.port != port:
            self.drop(entry)
        if port is None or not takes:
            return
        previous = self._entries.get(port)
        if previous is entry:
            return
        if previous is not None:
            previous.port = None
            previous.demote()
        self._entries[port] = entry
        entry.port = port
        if previous is None:
            self._tell()

    def drop(self, entry: Entry) -> None:
        """Let no port lead to a deployment any more."""
        if entry.port is not None:
            del self._entries[entry.port]
            self._problems.pop(entry.port, None)
            entry.port = None
            self._tell()

    def _tell(self) -> None:
        for callback in self._on_changed:
            callback()
