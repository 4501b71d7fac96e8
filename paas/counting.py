"""What was counted of traffic and wakes, summed up for whoever asks. Nothing here is on a request's way."""

from collections.abc import Iterator, Mapping

from paas.core.ids import AppId, DeploymentId, TaskId
from paas.core.live import Counted, Demand, TaskCounted
from paas.routes import Entry, Upstream
from paas.tallies import Tally


class Counting:
    """Looks at what the router keeps: all deployments, and the tasks that end their last requests."""

    def __init__(self, entries: Mapping[DeploymentId, Entry], draining: Mapping[TaskId, Upstream]) -> None:
        self._entries = entries
        self._draining = draining
        self._gone = Tally()

    def counted(self, deployment_id: DeploymentId) -> Counted | None:
        entry = self._entries.get(deployment_id)
        return None if entry is None else self._counted(entry)

    def active(self, app_id: AppId | None = None) -> list[DeploymentId]:
        """Name the deployments, of one app or all, that did anything since the agent started.

        Thousands may never have.
        """
        return [
            entry.deployment_id
            for entry in self._entries.values()
            if (entry.upstreams or entry.past is not None or entry.wakes is not None or entry.refused)
            and app_id in (None, entry.app_id)
        ]

    def serving(self) -> dict[TaskId, AppId]:
        """Name all tasks that take traffic, with their apps."""
        return {
            upstream.task_id: entry.app_id for entry in self._entries.values() for upstream in entry.upstreams
        }

    def totals(self) -> Tally:
        """Sum up everything since the agent started, deployments that are gone included."""
        total = Tally()
        total.add(self._gone)
        for entry in self._entries.values():
            if entry.upstreams or entry.past is not None:
                total.add(self._total_of(entry))
        return total

    def note_cpu(self, deployment_id: DeploymentId, seconds: float) -> None:
        """Add what an ended task has used."""
        entry = self._entries.get(deployment_id)
        if entry is not None and seconds:
            entry.tally().cpu_secs += seconds

    def ended_cpu_secs(self, deployment_id: DeploymentId) -> float:
        """Say what ended tasks used: to be asked before those that run are measured."""
        entry = self._entries.get(deployment_id)
        return 0.0 if entry is None or entry.past is None else entry.past.cpu_secs

    def cpu_secs(self, deployment_id: DeploymentId, *, ended: float, running: float) -> float:
        """Add what ended tasks used to what those that run did; never less than it said before.

        A task that ends is in neither for a moment, and of processes whose time nobody kept it is lost.
        """
        entry = self._entries.get(deployment_id)
        if entry is None or not (running or entry.past):
            return running
        tally = entry.tally()
        tally.cpu_told = max(tally.cpu_told, ended + running)
        return tally.cpu_told

    def keep(self, entry: Entry) -> None:
        """Take over the counts of a deployment that goes, and of its requests that have yet to end."""
        self._gone.add(entry.tally())
        entry.past = self._gone

    def _counted(self, entry: Entry) -> Counted:
        total = self._total_of(entry)
        return Counted(
            deployment_id=entry.deployment_id,
            app_id=entry.app_id,
            demand=demand_of(entry),
            traffic=total.traffic(),
            tasks={
                upstream.task_id: TaskCounted(in_flight=upstream.in_flight, traffic=upstream.tally.traffic())
                for upstream in self._upstreams(entry)
            },
            refused=dict(entry.refused or {}),
            wakes=None if entry.wakes is None else entry.wakes.stats(),
        )

    def _total_of(self, entry: Entry) -> Tally:
        total = Tally()
        if entry.past is not None:
            total.add(entry.past)
        for upstream in self._upstreams(entry):
            total.add(upstream.tally)
        return total

    def _upstreams(self, entry: Entry) -> Iterator[Upstream]:
        """Give the tasks that take traffic, and those that still end what they had."""
        yield from entry.upstreams
        for upstream in self._draining.values():
            if upstream.entry is entry:
                yield upstream


def demand_of(entry: Entry) -> Demand:
    return Demand(
        waiting=len(entry.waiters) if entry.waiters else 0,
        in_flight=sum(upstream.in_flight for upstream in entry.upstreams),
        last_used=entry.last_used,
    )
