"""scale, wake, sleep, restart: wishes for an app, and the wait until they are true."""

import re
import time

import click

from paas.cli import apps, output, rollout, watching
from paas.cli.apps import AppName, app_argument
from paas.cli.client import decode
from paas.cli.session import Session, verb
from paas.cli.views import Deployment
from paas.cli.watching import Look, Wait

MARGIN_SECONDS = 30.0  # over the app's own limits: the agent may be busy
DRAIN_SECONDS = 60.0  # how long a wait puts up with open requests
MOST_REPLICAS = 100
WEB = "web"
SLEEPS = ("asleep", "frozen")


class Count(click.ParamType[tuple[str, int]]):
    """N or PROCESS=N."""

    name = "count"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        match = re.fullmatch(r"(?:([a-z][a-z0-9-]{0,29})=)?(\d{1,9})", str(value))
        if match is None:
            self.fail(f"{value} is not a number of tasks such as 2 or worker=2", param, ctx)
        count = int(match[2])
        if count > MOST_REPLICAS:
            self.fail(f"{count} is more than {MOST_REPLICAS} tasks", param, ctx)
        return match[1] or WEB, count


@click.command("scale")
@app_argument
@click.argument("count", metavar="N", type=Count())
@verb
def scale_command(session: Session, name: AppName, count: tuple[str, int]) -> None:
    """Let APP run as N tasks when it is awake (N or PROCESS=N); 0 lets it sleep now, or ends a worker."""
    process, number = count
    if process == WEB:
        _scale_web(session, name, number)
    else:
        _scale_worker(session, name, process, number)


def _scale_web(session: Session, name: AppName, count: int) -> None:
    client = session.client
    deployment_id = apps.deployment_id(client, apps.find(client, name))
    after = watching.last_seq(client)
    client.call("PATCH", watching.path(deployment_id), body={"spec": {"replicas": count}})
    seen = watching.until(
        client,
        deployment_id,
        lambda now: (
            now.activity == "asleep" or (count > 0 and (now.activity == "frozen" or now.tasks_ready == count))
        ),
        Wait(wish=f"scale {name} to {count}", after=after, limit_seconds=MARGIN_SECONDS + DRAIN_SECONDS),
    )
    _show(session, seen, f"{name} has {watching.task_words(count)}{_how(seen.deployment)}")


def _scale_worker(session: Session, name: AppName, process: str, count: int) -> None:
    """Change how many tasks of a worker there are; those of one that sleeps come with its next wake."""
    client = session.client
    deployment_id = apps.deployment_id(client, apps.find(client, name))
    after = watching.last_seq(client)
    body = {"spec": {"processes": {process: {"replicas": count}}}}
    client.call("PATCH", watching.path(deployment_id), body=body)
    seen = watching.until(
        client,
        deployment_id,
        lambda now: any(
            each.name == process and (each.running == count or (each.sleeps and now.activity in SLEEPS))
            for each in now.processes
        ),
        Wait(
            wish=f"scale {process} of {name} to {count}",
            after=after,
            limit_seconds=MARGIN_SECONDS + DRAIN_SECONDS,
        ),
    )
    _show(session, seen, f"{process} of {name} has {watching.task_words(count)}")


@click.command("wake")
@app_argument
@verb
def wake_command(session: Session, name: AppName) -> None:
    """Wake APP, and wait until it runs."""
    client = session.client
    deployment_id = apps.deployment_id(client, apps.find(client, name))
    after = watching.last_seq(client)
    before = watching.look(client, deployment_id).deployment
    began = time.monotonic()
    client.call("POST", f"{watching.path(deployment_id)}/wake")
    seen = watching.until(
        client,
        deployment_id,
        lambda now: now.tasks_ready > 0,
        Wait(wish=f"wake {name}", after=after, limit_seconds=before.spec.start_timeout_secs + MARGIN_SECONDS),
    )
    took = "was awake" if before.tasks_ready else f"is awake, in {(time.monotonic() - began) * 1000:.0f} ms"
    _show(session, seen, f"{name} {took}")


@click.command("sleep")
@app_argument
@verb
def sleep_command(session: Session, name: AppName) -> None:
    """Let APP sleep now, and wait until it does; the next request wakes it."""
    client = session.client
    deployment_id = apps.deployment_id(client, apps.find(client, name))
    after = watching.last_seq(client)
    wished = decode(client.call("POST", f"{watching.path(deployment_id)}/sleep"), Deployment)
    awake = frozenset(each.name for each in wished.processes if not each.sleeps)
    seen = watching.until(
        client,
        deployment_id,
        lambda now: now.tasks_ready == 0 and not watching.live_task_ids(client, deployment_id, but=awake),
        Wait(
            wish=f"put {name} to sleep",
            after=after,
            limit_seconds=2 * wished.spec.stop_grace_secs + DRAIN_SECONDS,  # workers end after web
        ),
    )
    _show(session, seen, f"{name} is asleep")


@click.command("restart")
@app_argument
@verb
def restart_command(session: Session, name: AppName) -> None:
    """Replace the tasks of APP one after the other; start it again if it was stopped."""
    client = session.client
    app = apps.find(client, name)
    is_stopped = app.current is None or app.current.activity == "stopped"
    stopped_id = apps.stopped_deployment_id(client, app) if is_stopped else None
    deployment_id = stopped_id or apps.deployment_id(client, app)
    after = watching.last_seq(client)
    old = watching.live_task_ids(client, deployment_id)
    result = decode(client.call("POST", f"{watching.path(deployment_id)}/restart"), Deployment)
    if result.id != deployment_id:
        rollout.follow(session, str(name), result)
        return
    seen = watching.until(
        client,
        deployment_id,
        lambda now: (
            now.tasks_ready >= max(1, now.tasks_total)
            and not old & watching.live_task_ids(client, deployment_id)
        ),
        Wait(
            wish=f"restart {name}",
            after=after,
            limit_seconds=result.spec.start_timeout_secs + result.spec.stop_grace_secs + DRAIN_SECONDS,
        ),
    )
    _show(session, seen, f"{name} runs with new tasks")


def _show(session: Session, seen: Look, sentence: str) -> None:
    if session.as_json:
        output.document(seen.raw)
        return
    session.say(sentence)
    for url in seen.deployment.urls[:1]:
        session.say(url)


def _how(deployment: Deployment) -> str:
    if deployment.activity not in SLEEPS:
        return ""
    state = f"; it is {deployment.activity}"
    return f"{state} and starts them on the next request" if deployment.spec.replicas else state
