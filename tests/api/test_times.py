"""Moments as text, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.api.kit.times import moment, rfc3339
from paas.core.errors import Invalid

NOW = 1_700_000_000.0


@given(millis=st.integers(0, 4_000_000_000_000))
def test_moment_survives_being_written_and_read(millis: int) -> None:
    written = rfc3339(millis / 1000)

    assert round(moment(written, now=NOW, field="since") * 1000) == millis
    assert written.endswith("Z")
    assert len(written) == len("2026-01-31T12:00:00.000Z")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", NOW - 300),
        ("90s", NOW - 90),
        ("250ms", NOW - 0.25),
        ("2h", NOW - 7200),
        ("1d", NOW - 86400),
        ("1970-01-01T00:00:10Z", 10),
        ("1970-01-01T01:00:10 01:00", 10),
        ("1970-01-01T00:00:10", 10),
    ],
)
def test_times_and_durations_are_read(text: str, seconds: float) -> None:
    assert moment(text, now=NOW, field="since") == seconds


@pytest.mark.parametrize("text", ["", "x", "5", "5 m", "-5m", "99999-01-01", "1e3s"])
def test_other_text_is_refused_by_field(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        moment(text, now=NOW, field="since")

    assert refused.value.field == "since"


@given(text=st.text(max_size=25))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert isinstance(moment(text, now=NOW, field="since"), float)
    except Invalid:
        return
