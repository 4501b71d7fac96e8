"""Log lines: one a record, with a sentence for people and fields for machines."""

import logging
import re
import subprocess
import sys

from paas.logging_setup import LineFormat

PROGRAM = """
import logging
from paas.logging_setup import set_up
set_up("warning")
logger = logging.getLogger("paas.anything")
logger.info("not said")
logger.warning("Task %s is slow", 3, extra={"event": "task.slow", "task": "t1"})
"""


def line(message: str, *arguments: object, **fields: object) -> str:
    logger = logging.getLogger("paas.test")
    record = logger.makeRecord(logger.name, logging.INFO, "", 1, message, arguments, None, extra=fields)
    record.created, record.msecs = 1_700_000_000.123, 123.0
    return LineFormat().format(record)


def test_a_line_is_time_level_sentence_and_fields() -> None:
    said = line("Task is ready", event="task.ready", took_ms=1.5)

    assert said == "2023-11-14T22:13:20.123Z info    Task is ready event=task.ready took_ms=1.5"


def test_a_line_without_fields_ends_with_its_sentence() -> None:
    assert line("%d of %d", 1, 2) == "2023-11-14T22:13:20.123Z info    1 of 2"


def test_an_error_brings_its_traceback_below_its_line() -> None:
    try:
        int("no")
    except ValueError:
        record = logging.getLogger("paas.test").makeRecord(
            "paas.test", logging.ERROR, "", 1, "Cannot go on", (), sys.exc_info(), extra={"event": "broken"}
        )

    first, *rest = LineFormat().format(record).splitlines()

    assert first.endswith("error   Cannot go on event=broken")
    assert rest[0].startswith("Traceback")
    assert rest[-1] == "ValueError: invalid literal for int() with base 10: 'no'"


def test_lines_from_the_chosen_level_on_go_to_standard_error() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    assert ran.stdout == ""
    assert re.fullmatch(r"\S+Z warning Task 3 is slow event=task.slow task=t1\n", ran.stderr)
