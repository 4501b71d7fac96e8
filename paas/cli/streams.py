"""logs and events: what was written and what happened, and what comes."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TypedDict, Unpack

import click

from paas.cli import apps, output, watching
from paas.cli.apps import APP, AppName, app_argument
from paas.cli.client import decode
from paas.cli.session import Session, verb
from paas.cli.views import AppPage, Event, EventPage, LogEntry

MOST_LINES = 10_000
SHORT_ID = 8
WEB = "web"
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType[datetime]):
    """How long ago, such as 5m, or a time in RFC 3339."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        match = re.fullmatch(r"(\d{1,6})([smhd])", str(value))
        try:
            if match is not None:
                return datetime.now(UTC) - timedelta(**{UNITS[match[2]]: int(match[1])})
            moment = datetime.fromisoformat(str(value))
        except (ValueError, OverflowError):
            self.fail(
                f"{value} is neither a time such as 2026-01-31T12:00:00Z nor a length such as 5m", param, ctx
            )
        return moment if moment.tzinfo else moment.astimezone()


class LogOptions(TypedDict):
    follow: bool
    lines: int | None
    since: datetime | None
    process: str | None


@click.command("logs")
@app_argument
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(0, MOST_LINES), help="The last N lines.  [default: 100]")
@click.option("--since", type=Moment(), help="Only what is newer: 5m, 2h, or 2026-01-31T12:00:00Z.")
@click.option("--process", metavar="NAME", help="Only what web, a worker or the release command wrote.")
@verb
def logs_command(session: Session, name: AppName, **options: Unpack[LogOptions]) -> None:
    """Show what APP wrote: the time, the task, its process where that is not web, and the line."""
    client = session.client
    deployment_id = apps.deployment_id(client, apps.find(client, name))
    since = options["since"]
    lines = options["lines"]
    if lines is None:
        lines = 100 if since is None else MOST_LINES
    if options["follow"]:
        _follow_logs(session, deployment_id, {"tail": lines, "process": options["process"]}, since)
        return
    query = {
        "tail": lines,
        "since": None if since is None else _rfc3339(since),
        "process": options["process"],
    }
    raw = client.get(f"{watching.path(deployment_id)}/logs", query)
    if session.as_json:
        output.document(raw)
        return
    for entry in decode(raw, tuple[LogEntry, ...]):
        _print_entry(entry)


def _follow_logs(
    session: Session, deployment_id: str, query: Mapping[str, str | int | None], since: datetime | None
) -> None:
    """Print frames as they come; the stream knows no `since`, so older lines are left out here."""
    for frame in session.client.follow(f"{watching.path(deployment_id)}/logs/stream", query):
        if frame is None:
            continue
        entry = decode(frame.data, LogEntry)
        if since is not None and entry.timestamp < since:
            continue
        if session.as_json:
            click.echo(frame.data)
        else:
            _print_entry(entry)


@click.command("events")
@click.argument("name", metavar="[APP]", type=APP, required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "-n", "--lines", type=click.IntRange(1, 1000), default=50, show_default=True, help="The last N."
)
@verb
def events_command(session: Session, name: AppName | None, *, follow: bool, lines: int) -> None:
    """Show what happened, to all apps or to APP: deployed, started, ready, asleep, failed."""
    client = session.client
    app_id = None if name is None else apps.find(client, name).id
    raw = client.get("/api/v1/events", {"limit": lines, "app_id": app_id})
    if session.as_json and not follow:
        output.document(raw)
        return
    printer = _EventPrinter(session)
    page = decode(raw, EventPage)
    for event in page.events:
        printer.show(bytes(event))
    if not follow:
        return
    for frame in client.follow("/api/v1/events", {"app_id": app_id}, last_id=str(page.last_seq)):
        if frame is not None:
            printer.show(frame.data)


class _EventPrinter:
    """Prints events with the names of their apps, which it learns as they are needed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._titles: dict[str, str] = {}

    def show(self, raw: bytes) -> None:
        if self._session.as_json:
            click.echo(raw)
            return
        event = decode(raw, Event)
        parts = (event.kind, self._title(event.app_id), event.reason, _facts(event))
        text = "  ".join(part for part in parts if part)
        click.echo(f"{click.style(_rfc3339(event.at), dim=True)}  {output.printable(text)}")

    def _title(self, app_id: str | None) -> str:
        if app_id is None:
            return ""
        if app_id not in self._titles:
            pages = apps.all_apps(self._session.client)
            self._titles |= {app.id: app.title for raw in pages for app in decode(raw, AppPage).data}
        return self._titles.setdefault(app_id, app_id[:SHORT_ID])  # it was deleted


def _print_entry(entry: LogEntry) -> None:
    task = (entry.task_id or "")[:SHORT_ID]
    if entry.process != WEB:
        task = f"{task} {entry.process}"
    head = click.style(f"{_rfc3339(entry.timestamp)} {task}", dim=True)
    click.echo(f"{head} {output.printable(entry.message)}")


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _facts(event: Event) -> str:
    """Write what else is known of an event, but for times: its own is the same to the millisecond."""
    shown = {
        name: value for name, value in event.facts.items() if value is not None and not name.endswith("_at")
    }
    return " ".join(f"{name}={value}" for name, value in shown.items())
