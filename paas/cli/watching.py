"""Wait until a deployment is as wished; look again whenever something happened to it."""

import time
from collections.abc import Callable, Collection, Iterator

import click

from paas.cli import output
from paas.cli.client import UNREACHABLE, Client, decode
from paas.cli.problems import Problem
from paas.cli.views import Deployment, Event, EventPage, LogEntry, TaskPage
from paas.core.records import dataclass

LOOK_SECONDS = 5.0
TAIL_LINES = 20
MOST_TASKS = 100
LIVE_TASK_STATES = frozenset({"starting", "running", "stopping"})  # a pending one waits to be woken
ENDED_STATES = frozenset({"failed", "cancelled", "stopped"})


@dataclass(frozen=True, slots=True)
class Look:
    """A deployment as it is now, the API's own words for it, and the event that led to the look."""

    deployment: Deployment
    raw: bytes
    event: Event | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What is waited for, in words that follow "cannot", and within which time."""

    wish: str
    after: int  # the last event that was there before the wish
    limit_seconds: float


def path(deployment_id: str) -> str:
    return f"/api/v1/deployments/{deployment_id}"


def look(client: Client, deployment_id: str, event: Event | None = None) -> Look:
    raw = client.get(path(deployment_id))
    return Look(decode(raw, Deployment), raw, event)


def last_seq(client: Client) -> int:
    return decode(client.get("/api/v1/events", {"limit": 1}), EventPage).last_seq


def watch(client: Client, deployment_id: str, *, after: int) -> Iterator[Look]:
    """Yield a look at once, after each event, and every few seconds, for ever."""
    stream = client.follow(
        "/api/v1/events",
        {"deployment_id": deployment_id},
        last_id=str(after),
        quiet_seconds=LOOK_SECONDS,
    )
    for frame in stream:
        event = None if frame is None else decode(frame.data, Event)
        try:
            seen = look(client, deployment_id, event)
        except Problem as problem:
            if problem.code != UNREACHABLE:
                raise
            continue  # the stream broke too; it says when to give up
        yield seen


def until(client: Client, deployment_id: str, is_done: Callable[[Deployment], bool], wait: Wait) -> Look:
    """Watch until `is_done`. Raises Problem when a start fails for good, it was ended, or time is up."""
    deadline = time.monotonic() + wait.limit_seconds
    has_failed = False
    for seen in watch(client, deployment_id, after=wait.after):
        deployment = seen.deployment
        if is_done(deployment):
            return seen
        # "crashed" alone may be an earlier crash that a wake is about to forget.
        has_failed = has_failed or (seen.event is not None and seen.event.kind == "task.failed")
        if deployment.state in ENDED_STATES or (has_failed and deployment.activity == "crashed"):
            raise failure(client, deployment, wait.wish)
        _check_time(deadline, wait, deployment)
    raise AssertionError("watch has no end")


def until_ended(client: Client, deployment_id: str, wait: Wait) -> Look:
    """Watch until a deployment and all its tasks have ended. Raises Problem when time is up."""
    deadline = time.monotonic() + wait.limit_seconds
    for seen in watch(client, deployment_id, after=wait.after):
        if seen.deployment.state in ENDED_STATES and not live_task_ids(client, deployment_id):
            return seen
        _check_time(deadline, wait, seen.deployment)
    raise AssertionError("watch has no end")


def failure(client: Client, deployment: Deployment, wish: str) -> Problem:
    """Show the last lines of a deployment's log, and make the problem that says why it failed."""
    _print_tail(client, deployment.id)
    reason = output.printable(deployment.reason or f"it is {deployment.activity}")
    return Problem(f"cannot {wish}: {reason}", code="DEPLOYMENT_FAILED")


def live_task_ids(
    client: Client, deployment_id: str, *, but: Collection[str] = frozenset()
) -> frozenset[str]:
    """Name the tasks that have started and not ended, but for those of some processes."""
    page = decode(client.get(f"{path(deployment_id)}/tasks", {"page_size": MOST_TASKS}), TaskPage)
    return frozenset(
        task.id for task in page.data if task.state in LIVE_TASK_STATES and task.process not in but
    )


def task_words(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def _check_time(deadline: float, wait: Wait, deployment: Deployment) -> None:
    if time.monotonic() <= deadline:
        return
    held = f"; {deployment.in_flight} open requests keep it awake" if deployment.in_flight else ""
    raise Problem(
        f"cannot {wait.wish} in {wait.limit_seconds:.0f} s: it is {deployment.activity}{held}",
        hint="the wish stays; `paas ps` shows how it is",
        code="NOT_YET",
    )


def _print_tail(client: Client, deployment_id: str) -> None:
    entries = decode(client.get(f"{path(deployment_id)}/logs", {"tail": TAIL_LINES}), tuple[LogEntry, ...])
    if entries:
        click.echo("       the end of its log:", err=True)
    for entry in entries:
        click.echo(f"       {output.printable(entry.message)}", err=True)
