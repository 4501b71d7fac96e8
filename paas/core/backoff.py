"""Delay before the next try, and when a crash loop is called one."""

from collections.abc import Sequence

from paas.core.model import Task

FIRST_DELAY_SECS = 1.0
LONGEST_DELAY_SECS = 300.0
CALM_SECS = 60.0  # a task that ran this long after it was ready ends a streak
LOOP_AT = 5  # failures in a row that are called a crash loop


def failures_in_a_row(ended_newest_first: Sequence[Task], *, since: float) -> int:
    """Count the latest failures after `since`, up to the first task that ran well."""
    count = 0
    for task in ended_newest_first:
        if not task.crashed or (task.ended_at or 0.0) < since or _ran_well(task):
            break
        count += 1
    return count


def delay_after(failures: int) -> float:
    """Seconds to wait after this many failures in a row: 1, 2, 4 ... 300."""
    if failures <= 0:
        return 0.0
    return float(min(LONGEST_DELAY_SECS, FIRST_DELAY_SECS * 2 ** min(failures - 1, 16)))


def _ran_well(task: Task) -> bool:
    return (
        task.ready_at is not None and task.ended_at is not None and task.ended_at - task.ready_at >= CALM_SECS
    )
