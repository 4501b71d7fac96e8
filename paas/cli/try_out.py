"""try: an agent that keeps nothing, one app in it, and what happens to it in plain words."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import click

from paas.cli import apps, output, watching
from paas.cli.apps import AppName
from paas.cli.client import Client, decode
from paas.cli.throwaway import ENDING_SIGNALS, throwaway_agent
from paas.cli.views import DEFAULT_NAMESPACE, Event

IDLE_SECONDS = 10


class Ended(BaseException):
    """Somebody wants this to end: Ctrl-C, SIGTERM, or the terminal is gone."""


@click.command("try", hidden=True)
@click.argument("program", type=click.Path(exists=True, path_type=Path))
def try_command(program: Path) -> None:
    """Run PROGRAM in an agent that keeps nothing, and show what happens until Ctrl-C."""
    for number in ENDING_SIGNALS:
        signal.signal(number, _end)
    try:
        with _saying_goodbye(), throwaway_agent() as api_url:
            client = Client(api_url)
            after = watching.last_seq(client)
            _deploy(api_url, program)
            url = apps.find(client, AppName(DEFAULT_NAMESPACE, program.name)).url
            _explain(url, api_url)
            _tell(client, after)
    except Ended:
        sys.exit(0)


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    signal.pthread_sigmask(
        signal.SIG_BLOCK, ENDING_SIGNALS
    )  # once is enough: what follows must not be cut off
    raise Ended


@contextlib.contextmanager
def _saying_goodbye() -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the terminal may be gone
            click.echo("\nEnded. Nothing of it is left running.")


def _deploy(api_url: str, program: Path) -> None:
    from paas.cli.root import paas  # noqa: PLC0415 - it is what loads this module

    arguments = ["--api-url", api_url, "deploy", str(program), "--idle-timeout", str(IDLE_SECONDS)]
    paas.main(arguments, prog_name="paas", standalone_mode=False)


def _explain(url: str, api_url: str) -> None:
    click.echo(f"""
It answers at   {url}
The API is at   {api_url}     (export PAAS_API_URL={api_url} for the command paas)

After {IDLE_SECONDS} s without a request it falls asleep: no process is left of it. This wakes it:

    curl {url}

Ctrl-C ends all of this and leaves nothing running. What happens:
""")


def _tell(client: Client, after: int) -> None:
    """Say what happens as it happens, from `after` on, until somebody ends this."""
    teller = _Teller(client)
    for frame in client.follow("/api/v1/events", last_id=str(after)):
        if frame is not None:
            teller.hear(decode(frame.data, Event))


class _Teller:
    """Turns events into sentences; knows of each deployment how often it was woken."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._wakes: dict[str, int] = {}

    def hear(self, event: Event) -> None:
        said = self._sentence(event)
        if said is None:
            return
        colour, text = said
        time = click.style(f"{event.at.astimezone():%H:%M:%S}", dim=True)
        click.echo(f"  {time}  {click.style(output.printable(text), fg=colour)}")

    def _sentence(self, event: Event) -> tuple[str | None, str] | None:
        match event.kind:
            case "deployment.active":
                return "green", f"deployed: version {event.facts.get('version')} takes the requests"
            case "task.running" if event.deployment_id is not None:
                return "green", self._started(event.deployment_id)
            case "task.stopping":
                return None, f"{_why(event.reason)}: its process is told to end"
            case "task.stopped":
                return "blue", "asleep"
            case "task.failed" | "deployment.failed":
                return "red", f"failed: {event.reason or 'no reason is known'}"
            case _:
                return None

    def _started(self, deployment_id: str) -> str:
        """Say that it is ready, and how long a request waited for it if one did."""
        wakes = watching.look(self._client, deployment_id).deployment.wakes
        known = self._wakes.get(deployment_id, 0)
        if wakes is None or wakes.count == known:
            return "ready"
        self._wakes[deployment_id] = wakes.count
        return f"woken by a request in {wakes.last_ms:.0f} ms"


def _why(reason: str | None) -> str:
    return f"idle for {IDLE_SECONDS} s" if reason == "idle" else reason or "no longer wanted"
