"""Moments as the API writes and reads them."""

import math
import re
from datetime import UTC, datetime

from paas.core.errors import Invalid

FLOAT_ERROR_MILLIS = 0.001  # so that a whole millisecond is not taken for the one before
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def rfc3339(seconds: float) -> str:
    """Write epoch seconds as RFC 3339 in UTC, with milliseconds and Z.

    Rounds down: what is asked for since the time that is shown must include what is shown.
    """
    whole, millis = divmod(math.floor(seconds * 1000 + FLOAT_ERROR_MILLIS), 1000)
    return f"{datetime.fromtimestamp(whole, tz=UTC):%Y-%m-%dT%H:%M:%S}.{millis:03d}Z"


def rfc3339_if_any(seconds: float | None) -> str | None:
    """Write epoch seconds as `rfc3339` does; None stays None."""
    return None if seconds is None else rfc3339(seconds)


def moment(text: str, *, now: float, field: str) -> float:
    """Read RFC 3339, or how long ago ("90s", "5m", "2h", "1d"), as epoch seconds. Raises Invalid."""
    duration = _DURATION.fullmatch(text)
    if duration is not None:
        return now - int(duration[1]) * _SECONDS[duration[2]]
    try:
        read = datetime.fromisoformat(text.replace(" ", "+"))  # a plus in a query arrives as a space
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise Invalid(
            f"cannot read {field} {text!r}: it is neither a time nor a duration",
            field=field,
            hint="write 2026-01-31T12:00:00Z, or a duration such as 5m",
        ) from error
