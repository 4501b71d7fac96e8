"""Apps, their environments and deployments, as the native API shows them. Pure."""

from collections.abc import Mapping

from paas.api.kit.times import rfc3339, rfc3339_if_any
from paas.api.native import answers
from paas.api.native.shapes import wakes
from paas.core import hosts, model
from paas.core.live import Live, Refusal
from paas.core.processes import workers_of
from paas.core.records import dataclass, field_names
from paas.core.states import LIVE_DEPLOYMENT, SERVING_DEPLOYMENT, UNSETTLED_DEPLOYMENT, DeploymentState
from paas.core.urls import PublicUrls
from paas.store.overview import Working

JUST_NOW_SECS = 1.0  # use this recent counts as running
PROGRESS_BUILDING = 25

STATUS: dict[DeploymentState, answers.Status] = {
    DeploymentState.QUEUED: "pending",
    DeploymentState.BUILDING: "pending",
    DeploymentState.STARTING: "pending",
    DeploymentState.ACTIVE: "running",
    DeploymentState.SUPERSEDED: "succeeded",
    DeploymentState.STOPPED: "cancelled",
    DeploymentState.FAILED: "failed",
    DeploymentState.CANCELLED: "cancelled",
}
ENDED: dict[DeploymentState, answers.Activity] = {
    DeploymentState.STOPPED: "stopped",
    DeploymentState.FAILED: "failed",
    DeploymentState.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A deployment with all that its picture needs."""

    deployment: model.Deployment
    app: model.App
    live: Live | None
    is_current: bool  # in its environment
    serves_app: bool  # answers the app's own host
    environment_label: str | None  # of its environment's host
    working: Working
    tcp_port: int | None  # of the proxy's, that leads or will lead to it
    env: Mapping[str, str]  # its own variables over the app's defaults, but for secrets


def deployment(shown: Shown, *, urls: PublicUrls, now: float) -> answers.Deployment:
    record, live = shown.deployment, shown.live
    refusal = _refusal(live, now)
    return answers.Deployment(
        id=record.id,
        sha=record.sha,
        app_id=record.app_id,
        version=record.version,
        status=STATUS[record.state],
        state=record.state.value,
        activity=activity(shown, now=now),
        reason=_reason(shown, refusal),
        spec=_spec(shown),
        tasks_ready=_ready(live),
        tasks_total=record.spec.replicas,
        processes=_processes(shown),
        progress=_progress(shown),
        environment_slug=record.environment,
        build_id=record.build_id,
        preview_url=_preview_url(shown, urls),
        urls=_urls(shown, urls),
        tcp_address=_tcp_address(shown, urls),
        is_current=shown.is_current,
        in_flight=live.demand.in_flight if live is not None else 0,
        waiting=live.demand.waiting if live is not None else 0,
        last_used_at=_last_used(live),
        retry_at=rfc3339_if_any(refusal.until) if refusal is not None else None,
        wakes=_wakes(live),
        refused=dict(live.refused) if live is not None else {},
        created_at=rfc3339(record.created_at),
        updated_at=rfc3339(record.updated_at),
    )


def activity(shown: Shown, *, now: float) -> answers.Activity:
    """Say in a word what a deployment does."""
    state, live = shown.deployment.state, shown.live
    if state in UNSETTLED_DEPLOYMENT:
        return "deploying"
    if state in ENDED:
        return ENDED[state]
    refusal = _refusal(live, now)
    if refusal is not None and refusal.is_fault:
        return "crashed"
    if live is not None and live.ready_tasks:
        in_use = live.demand.in_flight > 0 or live.demand.last_used >= now - JUST_NOW_SECS
        return "running" if in_use else "idle"
    if shown.working.is_starting or (live is not None and live.demand.waiting):
        return "waking"
    return "frozen" if live is not None and live.frozen_tasks else "asleep"


def app(
    record: model.App,
    current: Shown | None,
    *,
    default_env: Mapping[str, str] | None,
    urls: PublicUrls,
    now: float,
) -> answers.App:
    default = record.default_deployment_spec
    if default is not None and default_env:
        default = {**default, "env": default_env}
    address = None if current is None else _tcp_address(current, urls)
    return answers.App(
        id=record.id,
        name=record.name,
        namespace=record.namespace,
        subdomain=record.subdomain,
        description=record.description,
        labels=dict(record.labels),
        default_deployment_spec=None if default is None else dict(default),
        wake_policy=record.wake_policy,
        url=f"tcp://{address}" if address else urls.of(f"{record.subdomain}.{urls.domain}"),
        tcp_address=address,
        current=None if current is None else _current(current, urls=urls, now=now),
        created_at=rfc3339(record.created_at),
        updated_at=rfc3339(record.updated_at),
    )


def environment(
    record: model.Environment, current: Shown | None, *, urls: PublicUrls, now: float
) -> answers.Environment:
    address = None if current is None else _tcp_address(current, urls)
    own = None if record.label is None else urls.of(f"{record.label}.{urls.domain}")
    return answers.Environment(
        app_id=record.app_id,
        slug=record.slug,
        current_deployment_id=record.current_deployment_id,
        current_version=None if current is None else current.deployment.version,
        activity=None if current is None else activity(current, now=now),
        url=f"tcp://{address}" if address else own,
        urls=[] if current is None else _urls(current, urls),
        tcp_address=address,
        pull_request=record.pull_request,
        created_at=rfc3339(record.created_at),
    )


def _spec(shown: Shown) -> answers.DeploymentSpec:
    spec = shown.deployment.spec
    return answers.DeploymentSpec(**{name: getattr(spec, name) for name in field_names(spec)}, env=shown.env)


def _current(shown: Shown, *, urls: PublicUrls, now: float) -> answers.Current:
    record, live = shown.deployment, shown.live
    return answers.Current(
        deployment_id=record.id,
        version=record.version,
        environment=record.environment,
        activity=activity(shown, now=now),
        tasks_ready=_ready(live),
        tasks_total=record.spec.replicas,
        processes=_processes(shown),
        in_flight=live.demand.in_flight if live is not None else 0,
        last_used_at=_last_used(live),
        wakes=_wakes(live),
        urls=_urls(shown, urls),
    )


def _processes(shown: Shown) -> list[answers.Process]:
    return [
        answers.Process(
            name=worker.name,
            replicas=worker.replicas,
            sleeps=worker.sleeps,
            running=shown.working.workers.get(worker.name, 0),
        )
        for worker in workers_of(shown.deployment)
    ]


def _progress(shown: Shown) -> int:
    record = shown.deployment
    match record.state:
        case DeploymentState.QUEUED:
            return 0
        case DeploymentState.BUILDING:
            return PROGRESS_BUILDING
        case DeploymentState.STARTING:
            share = min(1.0, _ready(shown.live) / max(1, record.spec.replicas))
            return PROGRESS_BUILDING + round((100 - PROGRESS_BUILDING) * share)
        case DeploymentState.FAILED | DeploymentState.CANCELLED:
            return 0 if record.command is None else PROGRESS_BUILDING
        case _:
            return 100


def _refusal(live: Live | None, now: float) -> Refusal | None:
    """Find why requests are refused at the moment."""
    refusal = live.refusal if live is not None else None
    if refusal is None or (refusal.until is not None and refusal.until <= now):
        return None
    return refusal


def _hosts(shown: Shown, urls: PublicUrls) -> tuple[str, ...]:
    record = shown.deployment
    return hosts.hosts_of(
        preview=hosts.preview_label(shown.app.name, record.sha, record.environment),
        domain=urls.domain,
        app_subdomain=shown.app.subdomain if shown.serves_app else None,
        environment=shown.environment_label if shown.is_current else None,
    )


def _reason(shown: Shown, refusal: Refusal | None) -> str | None:
    """Say why it is as it is: first what keeps clients from it."""
    if shown.deployment.state in SERVING_DEPLOYMENT:
        if refusal is not None:
            return refusal.reason
        if shown.live is not None and shown.live.port_problem is not None:
            return shown.live.port_problem
    return shown.deployment.reason


def _tcp_address(shown: Shown, urls: PublicUrls) -> str | None:
    if shown.tcp_port is None:
        return None
    return urls.tcp_address(f"{shown.app.subdomain}.{urls.domain}", shown.tcp_port)


def _preview_url(shown: Shown, urls: PublicUrls) -> str:
    address = _tcp_address(shown, urls)
    return f"tcp://{address}" if address else urls.of(_hosts(shown, urls)[-1])


def _urls(shown: Shown, urls: PublicUrls) -> list[str]:
    if shown.deployment.state not in LIVE_DEPLOYMENT:
        return []
    if shown.deployment.spec.networking.protocol == "tcp":
        address = _tcp_address(shown, urls)
        return [f"tcp://{address}"] if address else []
    known = shown.live.hosts if shown.live is not None else ()
    return [urls.of(host) for host in known or _hosts(shown, urls)]


def _ready(live: Live | None) -> int:
    return len(live.ready_tasks) if live is not None else 0


def _last_used(live: Live | None) -> str | None:
    return rfc3339(live.demand.last_used) if live is not None and live.demand.last_used else None


def _wakes(live: Live | None) -> answers.Wakes | None:
    return wakes(live.wakes) if live is not None else None
