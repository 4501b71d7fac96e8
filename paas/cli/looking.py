"""ps, status, open: what there is and how it is."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import click

from paas.cli import apps, output, watching
from paas.cli.apps import AppName, app_argument
from paas.cli.client import decode
from paas.cli.session import Session, verb
from paas.cli.views import (
    AllMetrics,
    App,
    AppMetrics,
    AppPage,
    Current,
    Deployment,
    DeploymentMetrics,
    Process,
    Spec,
    TaskPage,
    Traffic,
    Usage,
    Wakes,
)

HEADERS = (
    *("NAME", "STATE", "VERSION", "TASKS", "CPU", "MEMORY", "REQUESTS", "RESTARTS", "OOM"),
    *("LAST USED", "WAKE p50", "p95", "URL"),
)
TASK_HEADERS = ("TASK", "PROCESS", "STATE", "PORT", "CPU", "MEMORY", "STARTED", "REASON")
METRICS = "/api/v1/metrics"
SHORT_ID = 8
SHOWN_TASKS = 5


@click.command("ps")
@verb
def ps_command(session: Session) -> None:
    """List the apps and how they are."""
    pages = list(apps.all_apps(session.client))
    if session.as_json:
        output.pages(pages)
        return
    listed = [app for page in pages for app in decode(page, AppPage).data]
    if not listed:
        session.say("No apps yet: paas deploy PATH")
        return
    metrics = {each.app_id: each for each in decode(session.client.get(METRICS), AllMetrics).apps}
    now = datetime.now(UTC)
    output.table(
        HEADERS,
        [_row(app, metrics.get(app.id), now) for app in listed],
        colours=[
            output.ACTIVITY_COLOURS.get(app.current.activity) if app.current else None for app in listed
        ],
    )


@click.command("status")
@app_argument
@verb
def status_command(session: Session, name: AppName) -> None:
    """Show one app: what it does, what keeps it awake, how it woke, its tasks."""
    client = session.client
    raw_app = apps.find_raw(client, name)
    app = decode(raw_app, App)
    shown_id = apps.newest_id(client, app) if app.current is None else app.current.deployment_id
    if shown_id is None:
        if session.as_json:
            nothing = dict.fromkeys(("deployment", "tasks", "metrics"), b"null")
            output.documents({"app": raw_app, **nothing})
        session.say(f"{app.title} has no deployment yet")
        session.say(app.url)
        return
    seen = watching.look(client, shown_id)
    raw_tasks = client.get(f"{watching.path(shown_id)}/tasks", {"page_size": SHOWN_TASKS})
    raw_metrics = client.get(f"/api/v1/apps/{app.id}/metrics")
    if session.as_json:
        parts = {"app": raw_app, "deployment": seen.raw, "tasks": raw_tasks, "metrics": raw_metrics}
        output.documents(parts)
        return
    of_tasks = decode(client.get(f"{watching.path(shown_id)}/metrics"), DeploymentMetrics).tasks
    _print_status(app, seen.deployment, decode(raw_metrics, AppMetrics))
    _print_tasks(decode(raw_tasks, TaskPage), {each.task_id: each.usage for each in of_tasks})
    session.say()
    session.say(seen.deployment.urls[0] if seen.deployment.urls else app.url)


@click.command("open")
@app_argument
@verb
def open_command(session: Session, name: AppName) -> None:
    """Open APP in the browser, and print its URL. One that speaks no HTTP is only told."""
    raw = apps.find_raw(session.client, name)
    app = decode(raw, App)
    url = app.current.urls[0] if app.current and app.current.urls else app.url
    if not url.startswith("tcp:"):
        click.launch(url)
    if session.as_json:
        output.document(raw)
    session.say(url)


def _row(app: App, metrics: AppMetrics | None, now: datetime) -> tuple[str, ...]:
    current = app.current
    if current is None:
        return (app.title, *("-" * (len(HEADERS) - 2)), app.url)
    return (
        app.title,
        current.activity,
        f"v{current.version}",
        _tasks(current),
        *_measured(metrics),
        output.ago(current.last_used_at, now),
        output.milliseconds(current.wakes.p50_ms if current.wakes else None),
        output.milliseconds(current.wakes.p95_ms if current.wakes else None),
        current.urls[0] if current.urls else app.url,
    )


def _tasks(current: Current) -> str:
    """Write how many tasks of web are ready, and how many of each worker run."""
    workers = (f"{each.name} {each.running}/{each.replicas}" for each in current.processes)
    return " ".join((f"{current.tasks_ready}/{current.tasks_total}", *workers))


def _workers(processes: Iterable[Process]) -> str | None:
    return (
        ", ".join(
            f"{each.name} {each.running} of {each.replicas}{'' if each.sleeps else ', also while it sleeps'}"
            for each in processes
        )
        or None
    )


def _measured(metrics: AppMetrics | None) -> tuple[str, ...]:
    """Write CPU, memory, requests, restarts and OOM kills; dashes for an app made this moment."""
    if metrics is None:
        return ("-",) * 5
    usage = metrics.usage
    return (
        output.seconds(usage.cpu_secs),
        output.size(usage.memory_bytes) if metrics.tasks else "-",
        str(metrics.traffic.requests),
        str(metrics.restarts),
        str(usage.oom_kills),
    )


def _print_status(app: App, deployment: Deployment, metrics: AppMetrics) -> None:
    click.echo(f"{click.style(app.title, bold=True)} is {output.coloured_activity(deployment.activity)}")
    output.fields(
        [
            ("version", f"v{deployment.version} in {deployment.environment_slug}, {deployment.state}"),
            ("deployed", output.ago(deployment.created_at)),
            ("tasks", f"{deployment.tasks_ready} of {deployment.tasks_total} ready"),
            ("workers", _workers(deployment.processes)),
            ("sleeps", _sleeps(deployment.spec)),
            ("last used", output.ago(deployment.last_used_at)),
            ("open", f"{deployment.in_flight} requests keep it awake" if deployment.in_flight else None),
            ("waiting", f"{deployment.waiting} requests" if deployment.waiting else None),
            ("wakes", _wakes(deployment.wakes)),
            ("last wake", _phases(deployment.wakes)),
            ("requests", _traffic(metrics.traffic)),
            ("used", _used(metrics.usage)),
            ("restarts", f"{metrics.restarts} after it ended by itself" if metrics.restarts else None),
            ("oom kills", str(metrics.usage.oom_kills) if metrics.usage.oom_kills else None),
            ("refused", ", ".join(f"{n} {kind}" for kind, n in deployment.refused.items() if n) or None),
            ("reason", deployment.reason),
            ("retried", None if deployment.retry_at is None else f"at {deployment.retry_at:%H:%M:%S} UTC"),
            ("urls", " ".join(deployment.urls) or None),
        ]
    )


def _sleeps(spec: Spec) -> str:
    if not spec.cold_start_enabled:
        return "never"
    idle = spec.idle
    stop_after = spec.idle_timeout_secs if idle.stop_after_secs is None else idle.stop_after_secs
    frozen = "" if idle.freeze_after_secs is None else f"frozen after {idle.freeze_after_secs:g} s, stopped "
    return f"{frozen}after {stop_after:g} s without use"


def _wakes(wakes: Wakes | None) -> str | None:
    if wakes is None:
        return None
    return f"{wakes.count}, last {wakes.last_ms:.0f} ms, p50 {wakes.p50_ms:.0f} ms, p95 {wakes.p95_ms:.0f} ms"


def _phases(wakes: Wakes | None) -> str | None:
    if wakes is None:
        return None
    phases = wakes.phases
    named = (
        ("queue", phases.queue),
        ("start", phases.start),
        ("ready", phases.ready),
        ("first byte", phases.first_byte),
    )
    return ", ".join(f"{name} {phase.last_ms:.1f} ms" for name, phase in named)


def _traffic(traffic: Traffic) -> str | None:
    if not traffic.requests:
        return None
    classes = ", ".join(f"{count} {name}" for name, count in traffic.answers.items())
    return (
        f"{traffic.requests} ({classes}), {output.size(traffic.bytes_in)} in,"
        f" {output.size(traffic.bytes_out)} out"
    )


def _used(usage: Usage) -> str:
    memory = f"{output.size(usage.memory_bytes)} of memory now, " if usage.memory_bytes else ""
    peak = f"{output.size(usage.memory_peak_bytes)} at most" if usage.memory_peak_bytes else "memory unknown"
    return f"{output.seconds(usage.cpu_secs)} of CPU, {memory}{peak}"


def _print_tasks(page: TaskPage, usage: Mapping[str, Usage | None]) -> None:
    if not page.data:
        return
    click.echo()
    output.table(
        TASK_HEADERS,
        [
            (
                task.id[:SHORT_ID],
                task.process,
                task.state,
                str(task.published_port or "-"),
                *_task_usage(usage.get(task.id)),
                output.ago(task.started_at) if task.started_at else "-",
                task.reason or "-",
            )
            for task in page.data
        ],
    )


def _task_usage(usage: Usage | None) -> tuple[str, str]:
    return ("-", "-") if usage is None else (output.seconds(usage.cpu_secs), output.size(usage.memory_bytes))
