"""The processes of a deployment: web, which answers requests, workers beside it, its release command."""

from paas.core.command_lines import argv_of
from paas.core.model import Deployment
from paas.core.records import dataclass
from paas.core.spec import RELEASE, WEB, Process

_USUAL = Process()


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A process beside web, as it is wanted."""

    name: str
    command: tuple[str, ...]
    replicas: int
    sleeps: bool


def workers_of(deployment: Deployment) -> tuple[Worker, ...]:
    """List the workers that its artifact or its spec names, by name."""
    said, found = deployment.spec.processes, deployment.processes
    if not said and not found:
        return ()
    known = []
    for name in sorted({*said, *found}):
        process = said.get(name, _USUAL)
        command = _argv(deployment, process.command) or found.get(name)
        if command:
            known.append(Worker(name=name, command=command, replicas=process.replicas, sleeps=process.sleeps))
    return tuple(known)


def release_of(deployment: Deployment) -> tuple[str, ...] | None:
    """Give the command that has to succeed before anything else of it runs; None: there is none."""
    return _argv(deployment, deployment.spec.release) or deployment.release


def command_of(deployment: Deployment, process: str) -> tuple[str, ...] | None:
    """Give the argv of a process; empty for what an image runs by itself, None where it has no such."""
    if process == WEB:
        return deployment.command
    if process == RELEASE:
        return release_of(deployment)
    return next((each.command for each in workers_of(deployment) if each.name == process), None)


def unknown_in(deployment: Deployment) -> tuple[str, ...]:
    """Name the processes that the spec speaks of, and nobody says how to run."""
    said = deployment.spec.processes
    return tuple(name for name in said if not said[name].command and name not in deployment.processes)


def _argv(deployment: Deployment, command: str | None) -> tuple[str, ...] | None:
    return argv_of(command, deployment.spec.process_type) if command else None
