"""top: what runs just now, and what it takes."""

import shutil
import sys
import time
from collections.abc import Mapping

import click

from paas.cli import output
from paas.cli.client import Client, decode
from paas.cli.session import Session, verb
from paas.cli.views import AllMetrics, AppMetrics

PATH = "/api/v1/metrics"
FIRST_LOOK_SECONDS = 1.0  # rates are the difference between two looks
HEADERS = (
    *("APP", "TASKS", "CPU", "MEMORY", "PEAK", "REQ/S", "OPEN", "WAITING", "IN/S", "OUT/S"),
    *("WAKES", "p50", "p95", "RESTARTS", "OOM"),
)
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


@click.command("top")
@click.option("-1", "--once", is_flag=True, help="Look once; so it does where there is no terminal.")
@click.option(
    "-d",
    "--delay",
    type=click.FloatRange(0.2, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks.",
)
@verb
def top_command(session: Session, *, once: bool, delay: float) -> None:
    """Show what the apps do and take, busiest first, until Ctrl-C."""
    client = session.client
    raw = client.get(PATH)
    if session.as_json:
        output.document(raw)
        return
    before = decode(raw, AllMetrics)
    time.sleep(min(delay, FIRST_LOOK_SECONDS))
    if once or not sys.stdout.isatty():
        for line in _frame(before, _look(client)):
            click.echo(line)
        return
    click.clear()
    while True:
        now = _look(client)
        _draw(_frame(before, now))
        before = now
        time.sleep(delay)


def _look(client: Client) -> AllMetrics:
    return decode(client.get(PATH), AllMetrics)


def _draw(lines: list[str]) -> None:
    """Write over the frame before, as much as the terminal has room for."""
    height = shutil.get_terminal_size().lines
    shown = "".join(f"{line}{CLEAR_LINE}\n" for line in lines[: height - 1])
    click.echo(f"{HOME}{shown}{CLEAR_BELOW}", nl=False)


def _frame(before: AllMetrics, now: AllMetrics) -> list[str]:
    seconds = max(0.001, (now.at - before.at).total_seconds())
    earlier = {app.app_id: app for app in before.apps}
    rates = {app.app_id: _Rates(app, earlier.get(app.app_id, app), seconds) for app in now.apps}
    shown = [app for app in now.apps if app.tasks or app.waiting or rates[app.app_id].requests]
    shown.sort(key=lambda app: (-rates[app.app_id].cpu, -app.usage.memory_bytes, app.title))
    cpu = sum(each.cpu for each in rates.values())
    requests = sum(each.requests for each in rates.values())
    memory = output.size(sum(app.usage.memory_bytes for app in now.apps))
    asleep = len(now.apps) - len(shown)
    summary = (
        f"{len(now.apps)} apps, {asleep} without tasks; CPU {cpu:.1f} %, memory {memory},"
        f" {requests:.1f} requests/s"
    )
    return [summary, *output.table_lines(HEADERS, [_row(app, rates) for app in shown])]


class _Rates:
    """What one app did between two looks, a second. After a restart of the agent, nothing."""

    def __init__(self, now: AppMetrics, before: AppMetrics, seconds: float) -> None:
        self.cpu = max(0.0, now.usage.cpu_secs - before.usage.cpu_secs) / seconds * 100  # % of one core
        self.requests = max(0, now.traffic.requests - before.traffic.requests) / seconds
        self.bytes_in = max(0, now.traffic.bytes_in - before.traffic.bytes_in) / seconds
        self.bytes_out = max(0, now.traffic.bytes_out - before.traffic.bytes_out) / seconds


def _row(app: AppMetrics, rates: Mapping[str, _Rates]) -> tuple[str, ...]:
    rate, usage, wakes = rates[app.app_id], app.usage, app.wakes
    return (
        app.title,
        str(app.tasks),
        f"{rate.cpu:.1f} %",
        output.size(usage.memory_bytes),
        output.size(usage.memory_peak_bytes),
        f"{rate.requests:.1f}",
        str(app.in_flight),
        str(app.waiting),
        output.size(rate.bytes_in),
        output.size(rate.bytes_out),
        str(wakes.count if wakes else 0),
        output.milliseconds(wakes.p50_ms if wakes else None),
        output.milliseconds(wakes.p95_ms if wakes else None),
        str(app.restarts),
        str(usage.oom_kills),
    )
