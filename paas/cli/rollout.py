"""Follow a new deployment, step by step, until it is ready or has failed."""

import time

from paas.cli import output, watching
from paas.cli.problems import INTERRUPTED, Problem
from paas.cli.session import Session
from paas.cli.views import Deployment, Event
from paas.cli.watching import ENDED_STATES, Look

SHORT_ID = 8
RELEASE = "release"
READY_STATES = frozenset({"active", "superseded"})


def follow(session: Session, title: str, deployment: Deployment) -> None:
    """Show the steps and, last, the URL. Raises Problem when it fails, and on Ctrl-C, which only detaches."""
    began = time.monotonic()
    if not session.as_json:
        output.step(f"Version {deployment.version} of {title}, for {deployment.environment_slug}")
    try:
        seen = _settled(session, deployment)
    except KeyboardInterrupt:
        raise Problem(
            f"detached from version {deployment.version} of {title}, which goes on",
            hint=f"paas status {title}",
            code="INTERRUPTED",
            exit_code=INTERRUPTED,
        ) from None
    if session.as_json:
        output.document(seen.raw)
    if seen.deployment.state in ENDED_STATES:
        raise watching.failure(
            session.client, seen.deployment, f"deploy version {deployment.version} of {title}"
        )
    if session.as_json:
        return
    output.step(f"Version {deployment.version} is ready, in {time.monotonic() - began:.1f} s")
    for url in seen.deployment.urls[:1]:
        session.say(url)


def leave(session: Session, title: str, deployment: Deployment) -> None:
    """Say which version was made, and that it goes on."""
    if session.as_json:
        output.document(session.client.get(f"/api/v1/deployments/{deployment.id}"))
        return
    output.step(
        f"Version {deployment.version} of {title}, for {deployment.environment_slug}, goes on by itself"
    )


def _settled(session: Session, deployment: Deployment) -> Look:
    """Watch from the deployment's first event, and print each, until its state is final."""
    is_first = True
    for seen in watching.watch(session.client, deployment.id, after=0):
        if seen.event is not None and not session.as_json:
            _print_step(seen.event, seen.deployment)
        state = seen.deployment.state
        # The look may be ahead of the events: those that led there are still worth showing.
        is_told = seen.event.kind == f"deployment.{state}" if seen.event else not is_first
        if is_told and state in READY_STATES | ENDED_STATES:
            return seen
        is_first = False
    raise AssertionError("watch has no end")


def _pulled(event: Event) -> str:
    done, total = (int(str(event.facts.get(name, 0))) for name in ("done_bytes", "total_bytes"))
    return f"{output.size(done)} of {output.size(total)} are here"


def _print_step(event: Event, deployment: Deployment) -> None:
    process = event.facts.get("process")
    task = f"{process or 'task'} {(event.task_id or '')[:SHORT_ID]}"
    match event.kind:
        case "deployment.building":
            output.step("Fetching the image" if deployment.spec.image else "Unpacking")
        case "deployment.pulling":
            output.detail(_pulled(event))
        case "deployment.starting":
            output.step(f"Starting {watching.task_words(deployment.spec.replicas)}")
        case "task.starting":
            output.detail(f"{task} starts")
        case "task.running" if process != RELEASE:
            output.detail(f"{task} is ready")
        case "task.stopped" if process == RELEASE:
            output.detail(f"{task} has ended")
        case "task.failed":
            output.detail(f"{task} failed: {event.reason or 'no reason is known'}")
        case _:
            pass  # the others say what the steps around them say
