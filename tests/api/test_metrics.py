"""Counts and measurements in the API, with a real router and nothing that runs."""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from paas.api.kit.parts import ApiParts
from paas.core.ids import AppId, DeploymentId, TaskId
from paas.core.live import Measured, Usage
from paas.core.ports import UsageView
from paas.core.records import replace
from paas.engine.metering import Metering
from paas.routes import Rules
from paas.store import usage
from tests.api.conftest import Api, Json, serve
from tests.api.engine import activate

MANY = 1000
LABELS = {"namespace": "default", "app": "hello", "environment": "production", "version": "1"}


async def served(api: Api) -> tuple[Json, Json]:
    """Deploy an app of which one task takes traffic, and let it answer two requests."""
    app = await api.app()
    artifact = await api.artifact()
    deployment = await api.deployment(app["id"], artifact_id=artifact["id"], environment="production")
    await activate(api, deployment)
    entry = api.router.resolve("hello-default.localhost")
    assert entry is not None
    api.router.wait(entry, lambda _: None)
    api.router.publish(DeploymentId(deployment["id"]), TaskId("task-1"), "127.0.0.1", 1)
    tally = entry.upstreams[0].tally
    tally.answers[2] += 2
    tally.bytes_in, tally.bytes_out = 100, 2000
    entry.tally().answers[5] += 1
    api.router.count_refused(entry, "crawlers")
    return app, deployment


async def scraped(api: Api) -> tuple[dict[str, Metric], bytes]:
    async with api.client.get(api.url + "/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = await response.read()
    return {family.name: family for family in text_string_to_metric_families(text.decode())}, text


async def test_an_app_and_its_deployment_show_what_was_counted(api: Api) -> None:
    app, deployment = await served(api)

    _, of_app = await api.ask("GET", f"/api/v1/apps/{app['id']}/metrics")
    _, of_deployment = await api.ask("GET", f"/api/v1/deployments/{deployment['id']}/metrics")
    _, of_all = await api.ask("GET", "/api/v1/metrics")

    traffic = {"requests": 3, "answers": {"2xx": 2, "5xx": 1}, "bytes_in": 100, "bytes_out": 2000}
    assert of_app["traffic"] == of_deployment["traffic"] == traffic
    assert (of_app["tasks"], of_app["in_flight"]) == (1, 1)
    assert of_app["wakes"]["count"] == 1
    assert of_all["apps"] == [of_app]


async def test_what_never_ran_shows_zeros(api: Api) -> None:
    app = await api.app()
    deployment = await api.deployment(app["id"])

    _, of_app = await api.ask("GET", f"/api/v1/apps/{app['id']}/metrics")
    status, of_deployment = await api.ask("GET", f"/api/v1/deployments/{deployment['id']}/metrics")

    assert of_app["traffic"] == {"requests": 0, "answers": {}, "bytes_in": 0, "bytes_out": 0}
    assert of_app["usage"]["memory_peak_bytes"] == 0
    assert (status, of_deployment["tasks"], of_deployment["wakes"]) == (200, [], None)


class EndsMeanwhile:
    """Measures tasks which have ended, and are counted as such, by the time that it says so."""

    def __init__(self, usage: UsageView) -> None:
        self._usage = usage
        self.note_end: Callable[[], None] = lambda: None

    async def measure(self, task_ids: Iterable[TaskId]) -> Mapping[TaskId, Usage]:
        self.note_end()
        used = Usage(cpu_secs=3.0, memory_bytes=1, memory_peak_bytes=1, oom_kills=0)
        return dict.fromkeys(task_ids, used)

    async def measured(self, app_ids: Collection[AppId]) -> Mapping[AppId, Measured]:
        return await self._usage.measured(app_ids)


@pytest.mark.parametrize("of", ["app", "deployment"])
async def test_a_task_that_ends_while_it_is_measured_counts_once(tmp_path: Path, of: str) -> None:
    made: list[EndsMeanwhile] = []

    def change(parts: ApiParts) -> ApiParts:
        made.append(EndsMeanwhile(parts.usage))
        return replace(parts, usage=made[0])

    async with serve(tmp_path, change) as api:
        app = await api.app()
        deployment = await api.deployment(app["id"], environment="production")
        await activate(api, deployment, ready=1)
        made[0].note_end = lambda: api.router.counting.note_cpu(DeploymentId(deployment["id"]), 3.0)
        path = {"app": f"apps/{app['id']}", "deployment": f"deployments/{deployment['id']}"}[of]

        _, told = await api.ask("GET", f"/api/v1/{path}/metrics")

    assert told["usage"]["cpu_secs"] == 3.0


async def test_metrics_of_nothing_are_not_found(api: Api) -> None:
    nothing = "00000000-0000-4000-8000-000000000000"
    for kind in ("apps", "deployments", "tasks"):
        status, body = await api.ask("GET", f"/api/v1/{kind}/{nothing}/metrics")
        assert status == 404, body


async def test_prometheus_reads_what_was_counted(api: Api) -> None:
    await served(api)

    families, _ = await scraped(api)

    requests = {sample.labels["code"]: sample.value for sample in families["paas_requests"].samples}
    assert requests == {"2xx": 2, "5xx": 1}
    (sent,) = families["paas_sent_bytes"].samples
    assert (sent.name, sent.labels, sent.value) == ("paas_sent_bytes_total", LABELS, 2000)
    (refused,) = families["paas_wakes_refused"].samples
    assert (refused.labels, refused.value) == ({**LABELS, "reason": "crawlers"}, 1)
    phases = {sample.labels["phase"] for sample in families["paas_wake_duration_seconds"].samples}
    assert phases == {"queue", "start", "ready", "first_byte"}
    assert families["paas_wake_duration_seconds"].type == "summary"
    assert families["paas_requests"].type == "counter"
    assert "process_resident_memory_bytes" in families


async def test_what_an_app_was_measured_to_need_outlives_the_agent(api: Api) -> None:
    app, _ = await served(api)
    async with api.database.record() as tx:
        for _ in range(2):
            told = Measured(memory_peak_bytes=5_000_000, crashes=1, oom_kills=1)
            await usage.note(tx, AppId(app["id"]), told)
    metering = Metering(api.database, [], api.router.counting, api.clock)

    await metering.load()

    measured = await metering.measured([AppId(app["id"])])
    assert measured[AppId(app["id"])] == Measured(memory_peak_bytes=5_000_000, crashes=2, oom_kills=2)
    families, _ = await scraped(api)
    assert [sample.value for sample in families["paas_restarts"].samples] == [2]


async def test_a_scrape_of_a_thousand_sleepers_is_small_and_wakes_nobody(api: Api) -> None:
    for number in range(MANY):
        app = await api.app(f"app-{number}")
        key = DeploymentId(f"deployment-{number}")
        api.router.route(key, AppId(app["id"]), [f"app-{number}.localhost"], Rules())
        api.router.publish(key, TaskId(f"task-{number}"), "127.0.0.1", 1)
        api.router.withdraw(key, TaskId(f"task-{number}"))
    api.poked.clear()

    families, text = await scraped(api)

    assert families["paas_apps"].samples[0].value == MANY
    assert len(text) < 10_000
    assert api.poked == []
