"""Core records to the native API's answers, but for apps and their deployments. Pure."""

from collections.abc import Sequence

from paas.api.kit.parts import AboutAgent
from paas.api.kit.times import rfc3339, rfc3339_if_any
from paas.api.native import answers
from paas.core import model
from paas.core.checks import Check
from paas.core.live import PhaseStats, WakeStats
from paas.core.masking import Mask
from paas.core.urls import PublicUrls
from paas.task_logs import LogLine


def artifact(record: model.Artifact) -> answers.Artifact:
    return answers.Artifact(
        id=record.id,
        name=record.name,
        content_type=record.content_type,
        size=record.size_bytes,
        sha256=record.sha256,
        created_at=rfc3339(record.created_at),
        uploaded_at=rfc3339_if_any(record.uploaded_at),
    )


def registry(record: model.Registry) -> answers.Registry:
    return answers.Registry(
        host=record.host,
        username=record.username,
        created_at=rfc3339(record.created_at),
        updated_at=rfc3339(record.updated_at),
    )


def task(record: model.Task, *, node_id: str) -> answers.Task:
    return answers.Task(
        id=record.id,
        deployment_id=record.deployment_id,
        process=record.process,
        node_id=node_id,
        state=record.state.value,
        published_port=record.port,
        reason=record.reason,
        exit_code=record.exit_code,
        revision=record.revision,
        created_at=rfc3339(record.created_at),
        started_at=rfc3339_if_any(record.started_at),
        ready_at=rfc3339_if_any(record.ready_at),
        ended_at=rfc3339_if_any(record.ended_at),
        updated_at=rfc3339(record.updated_at),
    )


def log_entry(line: LogLine, process: str, mask: Mask) -> answers.LogEntry:
    return answers.LogEntry(
        timestamp=rfc3339(line.at), message=mask.hide(line.message), task_id=line.task_id, process=process
    )


def event(record: model.Event) -> answers.Event:
    return answers.Event(
        seq=record.seq,
        at=rfc3339(record.at),
        kind=record.kind,
        app_id=record.app_id,
        deployment_id=record.deployment_id,
        task_id=record.task_id,
        reason=record.reason,
        facts=dict(record.facts),
    )


def diagnosis(checks: Sequence[Check]) -> answers.Diagnosis:
    return answers.Diagnosis(
        ok=all(check.ok for check in checks),
        checks=[
            answers.Check(name=check.name, ok=check.ok, detail=check.detail, fix=check.fix)
            for check in checks
        ],
    )


def version(about: AboutAgent, urls: PublicUrls) -> answers.Version:
    return answers.Version(
        version=about.version,
        api="v1",
        node_id=about.node_id,
        domain=urls.domain,
        proxy_url=urls.of(urls.domain),
        limits=answers.Limits(
            memory=about.limits.get("memory", "none"),
            cpu=about.limits.get("cpu", "none"),
            containment=about.limits.get("containment", "none"),
        ),
        isolation=answers.Isolation(user=about.apps_user, shares_agent_user=about.shares_agent_user),
        warnings=list(about.warnings),
    )


def wakes(stats: WakeStats | None) -> answers.Wakes | None:
    if stats is None:
        return None
    phases = stats.phases
    return answers.Wakes(
        count=stats.count,
        last_ms=_milliseconds(stats.last),
        p50_ms=_milliseconds(stats.p50),
        p95_ms=_milliseconds(stats.p95),
        phases=answers.WakePhases(
            queue=_phase(phases.queue),
            start=_phase(phases.start),
            ready=_phase(phases.ready),
            first_byte=_phase(phases.first_byte),
        ),
    )


def _phase(stats: PhaseStats) -> answers.Phase:
    return answers.Phase(
        last_ms=_milliseconds(stats.last),
        p50_ms=_milliseconds(stats.p50),
        p95_ms=_milliseconds(stats.p95),
    )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
