"""What one scrape tells Prometheus, from records that do not change any more.

Labels are bounded by what people deploy: namespace, app, environment and version. What is zero and
was never anything else is left out, so that thousands of apps that sleep cost a scrape nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from paas.api.kit.parts import AboutAgent
from paas.api.native.sightings import Seen
from paas.core.ids import AppId
from paas.core.live import Counted, Measured, PhaseStats, WakePhases, WakeStats
from paas.core.records import dataclass
from paas.store.overview import AppTitle, DeploymentTitle
from paas.tallies import KEPT_WAKES


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """All that is told."""

    about: AboutAgent
    apps: Sequence[AppTitle]
    measured: Mapping[AppId, Measured]
    deployments: Sequence[tuple[DeploymentTitle, Seen]]


Labels = Mapping[str, str]
Value = tuple[str, Labels, float]  # the name's suffix, labels, value


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    kind: str
    help: str
    samples: Iterable[Value]  # for one reader


def families(scrape: Scrape) -> Iterator[Family]:
    about = {"version": scrape.about.version, "node": scrape.about.node_id}
    yield _gauge("paas_agent_info", "Which agent this is.", [(about, 1)])
    yield _gauge("paas_apps", "Apps, asleep or awake.", [({}, len(scrape.apps))])
    deployments = [(_labels(title), seen) for title, seen in scrape.deployments]
    every = [(labels, seen.counted) for labels, seen in deployments if seen.counted is not None]
    yield from _traffic(every)
    yield from _refused(every)
    yield from _demand([(labels, one) for labels, one in every if one.tasks or one.demand.waiting])
    yield from _usage(deployments)
    yield from _wakes([(labels, one.wakes) for labels, one in every if one.wakes is not None])
    yield from _history(scrape)


def _traffic(every: Sequence[tuple[Labels, Counted]]) -> Iterator[Family]:
    yield _counter(
        "paas_requests",
        "Requests by the class of their answer; 1xx: upgrades, tcp: connections, none: the client left.",
        (
            ({**labels, "code": code}, count)
            for labels, one in every
            for code, count in one.traffic.answers.items()
        ),
    )
    received = [(labels, one.traffic.bytes_in) for labels, one in every]
    yield _counter("paas_received_bytes", "Bytes from clients, as on the wire.", received)
    sent = [(labels, one.traffic.bytes_out) for labels, one in every]
    yield _counter("paas_sent_bytes", "Bytes to clients, as on the wire.", sent)


def _refused(every: Sequence[tuple[Labels, Counted]]) -> Iterator[Family]:
    yield _counter(
        "paas_wakes_refused",
        "Requests that were not let wake an app, and connections turned away.",
        (({**labels, "reason": reason}, n) for labels, one in every for reason, n in one.refused.items()),
    )


def _demand(busy: Sequence[tuple[Labels, Counted]]) -> Iterator[Family]:
    in_flight = [(labels, one.demand.in_flight) for labels, one in busy]
    yield _gauge("paas_requests_in_flight", "Open requests, streams and tunnels.", in_flight)
    waiting = [(labels, one.demand.waiting) for labels, one in busy]
    yield _gauge("paas_requests_waiting", "Requests that wait for a wake.", waiting)


def _usage(deployments: Sequence[tuple[Labels, Seen]]) -> Iterator[Family]:
    started = [(labels, seen) for labels, seen in deployments if seen.tasks]
    tasks = [(labels, len(seen.tasks)) for labels, seen in started]
    yield _gauge("paas_tasks", "Tasks started and not ended, frozen ones included.", tasks)
    memory = [(labels, sum(usage.memory_bytes for usage in seen.usage.values())) for labels, seen in started]
    yield _gauge("paas_task_memory_bytes", "Memory of all tasks, without droppable pages.", memory)
    cpu = [(labels, seen.cpu_secs) for labels, seen in deployments]
    yield _counter("paas_task_cpu_seconds", "Processor time of all tasks, ended ones included.", cpu)


def _wakes(woken: Sequence[tuple[Labels, WakeStats]]) -> Iterator[Family]:
    yield _counter("paas_wakes", "Wakes.", [(labels, wakes.count) for labels, wakes in woken])
    yield Family(
        "paas_wake_duration_seconds",
        "summary",
        f"How long the phases of a wake took, one after the other; quantiles are of the last {KEPT_WAKES}.",
        (value for labels, wakes in woken for value in _summaries(labels, wakes.phases)),
    )


def _history(scrape: Scrape) -> Iterator[Family]:
    known = [
        ({"namespace": title.namespace, "app": title.name}, scrape.measured[title.id])
        for title in scrape.apps
        if title.id in scrape.measured
    ]
    crashes = [(labels, one.crashes) for labels, one in known]
    yield _counter("paas_restarts", "Tasks that ended without being asked to.", crashes)
    kills = [(labels, one.oom_kills) for labels, one in known]
    yield _counter("paas_oom_kills", "Processes killed for the memory limit.", kills)
    peaks = [(labels, one.memory_peak_bytes) for labels, one in known if one.memory_peak_bytes]
    yield _gauge("paas_task_memory_peak_bytes", "The most that one task ever used.", peaks)


def _counter(name: str, text: str, values: Iterable[tuple[Labels, float]]) -> Family:
    return Family(name, "counter", text, (("_total", labels, value) for labels, value in values if value))


def _gauge(name: str, text: str, values: Iterable[tuple[Labels, float]]) -> Family:
    return Family(name, "gauge", text, (("", labels, value) for labels, value in values))


def _summaries(labels: Labels, phases: WakePhases) -> Iterator[Value]:
    yield from _summary({**labels, "phase": "queue"}, phases.queue)
    yield from _summary({**labels, "phase": "start"}, phases.start)
    yield from _summary({**labels, "phase": "ready"}, phases.ready)
    yield from _summary({**labels, "phase": "first_byte"}, phases.first_byte)


def _summary(labels: Labels, phase: PhaseStats) -> Iterator[Value]:
    yield "", {**labels, "quantile": "0.5"}, phase.p50
    yield "", {**labels, "quantile": "0.95"}, phase.p95
    yield "_sum", labels, phase.total
    yield "_count", labels, phase.count


def _labels(title: DeploymentTitle) -> Labels:
    return {
        "namespace": title.app.namespace,
        "app": title.app.name,
        "environment": title.environment,
        "version": str(title.version),
    }
