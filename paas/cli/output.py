"""How answers look: short tables, times people can read, no control characters of others."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import click

ACTIVITY_COLOURS = {
    "running": "green",
    "idle": "green",
    "waking": "cyan",
    "deploying": "cyan",
    "frozen": "blue",
    "asleep": "blue",
    "crashed": "red",
    "failed": "red",
}
GAP = "  "
MINUTE, HOUR, DAY = 60, 3600, 86400

# What a program wrote must not steer the reader's terminal: colours may pass, nothing else.
_CONTROL = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f]")


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, colours: Sequence[str | None] = ()
) -> None:
    """Print rows under their headers; `colours`, one a row, is for the second column: the state."""
    for line in table_lines(headers, rows, colours=colours):
        click.echo(line)


def table_lines(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, colours: Sequence[str | None] = ()
) -> list[str]:
    lines = []
    cells = [list(headers), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    for number, row in enumerate(cells):
        padded = [*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]
        if number == 0:
            padded = [click.style(cell, bold=True) for cell in padded]
        elif colours:
            padded[1] = click.style(padded[1], fg=colours[number - 1])
        lines.append(GAP.join(padded))
    return lines


def fields(pairs: Sequence[tuple[str, str | None]]) -> None:
    """Print a name and a value a line; None leaves the line out."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        if value is not None:
            click.echo(f"  {click.style(name.ljust(width), dim=True)}  {printable(value)}")


def step(text: str) -> None:
    click.echo(f"{click.style('----->', fg='cyan')} {printable(text)}")


def detail(text: str) -> None:
    click.echo(f"       {printable(text)}")


def document(raw: bytes) -> None:
    """Print one JSON document, as the API gave it, indented."""
    import msgspec  # noqa: PLC0415 - only --json needs it here

    click.echo(msgspec.json.format(raw, indent=2).decode())


def documents(parts: dict[str, bytes]) -> None:
    """Print several answers of the API as one document."""
    document(b"{" + b",".join(b'"%b":%b' % (name.encode(), raw) for name, raw in parts.items()) + b"}")


def pages(parts: Sequence[bytes]) -> None:
    """Print the pages of a list as the API would in one."""
    import msgspec  # noqa: PLC0415 - people do not pay for --json

    class Rows(msgspec.Struct):
        data: list[msgspec.Raw]

    rows = [row for page in parts for row in msgspec.json.decode(page, type=Rows).data]
    whole = {"data": rows, "total": len(rows), "page": 1, "page_size": len(rows)}
    document(msgspec.json.encode(whole))


def coloured_activity(activity: str) -> str:
    return click.style(activity, fg=ACTIVITY_COLOURS.get(activity), bold=True)


def printable(text: str) -> str:
    return _CONTROL.sub("", text)


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    if moment is None:
        return "never"
    return f"{duration(((now or datetime.now(UTC)) - moment).total_seconds())} ago"


def duration(seconds: float) -> str:
    """Write a length of time with its largest unit, such as `3m`."""
    for unit, letter in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m")):
        if seconds >= unit:
            return f"{int(seconds // unit)}{letter}"
    return f"{max(0, int(seconds))}s"


def milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value < MINUTE else duration(value)


def size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:  # noqa: PLR2004 - the step between the units
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
