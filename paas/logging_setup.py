"""One line a record: time, level, sentence, then the fields that machines read."""

import logging
import sys
import time

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormat(logging.Formatter):
    """`2026-11-22T07:00:00.123Z info  Task is ready event=task.ready task=...`"""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = " ".join(f"{key}={value}" for key, value in vars(record).items() if key not in _STANDARD)
        line = (
            f"{moment}.{int(record.msecs):03d}Z {record.levelname.lower():<7} {record.getMessage()} {fields}"
        )
        if record.exc_info:
            line = f"{line.rstrip()}\n{self.formatException(record.exc_info)}"
        return line.rstrip()


def set_up(level: str) -> None:
    """Log to standard error, where systemd's journal takes it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormat())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
