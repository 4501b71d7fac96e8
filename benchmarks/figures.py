"""Percentiles, and tables in Markdown."""

import os
from collections.abc import Iterable, Sequence


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def p50_p95(values: Sequence[float]) -> str:
    return f"{percentile(values, 0.5):.2f} / {percentile(values, 0.95):.2f}"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [
        f"### {title}",
        "",
        "| " + " | ".join(columns) + " |",
        "| " + " | ".join("---" for _ in columns) + " |",
        *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows),
        "",
    ]
    return "\n".join(lines)


def load() -> str:
    """Say how busy the machine was over the last minute: 1.00 is one core's worth."""
    return f"{os.getloadavg()[0]:.2f} on {os.cpu_count()} cores"
