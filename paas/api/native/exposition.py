"""The text of a scrape, version 0.0.4, by Prometheus's own library. Imported by the first scrape only."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from paas.api.native.scrape import Family, Scrape, families

SAMPLES_A_TURN = 16  # each takes some 20 microseconds


def write(scrape: Scrape) -> bytes:
    """Write what a scrape tells, and what the agent's own process uses. Blocks."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(scrape))
    ProcessCollector(registry=registry)
    return bytes(generate_latest(registry))


class _Told(Collector):
    def __init__(self, scrape: Scrape) -> None:
        self._scrape = scrape

    def collect(self) -> Iterator[Metric]:
        for family in families(self._scrape):
            metric = Metric(family.name, family.help, family.kind)
            metric.samples = _Unhurried(family)  # type: ignore[assignment]  # read once, in order
            yield metric


class _Unhurried:
    """The samples of a family, made one at a time. Traffic, on another thread, passes between some."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def __iter__(self) -> Iterator[Sample]:
        for number, (suffix, labels, value) in enumerate(self._family.samples):
            if number % SAMPLES_A_TURN == 0:
                time.sleep(0)
            yield Sample(self._family.name + suffix, dict(labels), value)
