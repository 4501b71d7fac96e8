"""What is hidden in what people are shown."""

import re

from hypothesis import assume, given
from hypothesis import strategies as st

from paas.core.masking import MASK, SHORTEST, Mask

SHORT_ALPHABET = "ab\n "  # so that values overlap
VALUES = st.lists(st.text(SHORT_ALPHABET, max_size=8), max_size=4)


@given(VALUES, st.text(SHORT_ALPHABET, max_size=60))
def test_no_value_is_left_and_nothing_else_is_lost(values: list[str], text: str) -> None:
    shown = Mask(values).hide(text)

    assert not any(value in shown for value in values if len(value) >= SHORTEST)
    pieces = [re.escape(piece) for piece in shown.split(MASK)]
    assert re.fullmatch(".{4,}".join(pieces), text, re.DOTALL)
    assert (shown == text) == (MASK not in shown)


@given(VALUES, st.text(SHORT_ALPHABET, max_size=60))
def test_what_was_hidden_stays_as_it_is(values: list[str], text: str) -> None:
    mask = Mask(values)

    assert mask.hide(mask.hide(text)) == mask.hide(text)


@given(st.text(min_size=SHORTEST), st.text(), st.text())
def test_a_value_is_hidden_whatever_surrounds_it(value: str, before: str, after: str) -> None:
    assume("*" not in value)

    assert value not in Mask([value]).hide(before + value + after)


def test_values_that_overlap_are_hidden_together() -> None:
    assert Mask(["abcd", "cdef"]).hide("xabcdefx abcd") == "x***x ***"


def test_lines_of_a_value_are_hidden_one_by_one() -> None:
    mask = Mask(["-----BEGIN KEY-----\r\n  line of it\nabc\n"])

    assert [mask.hide(line) for line in ("-----BEGIN KEY-----", "> line of it.", "abc")] == [
        "***",
        "> ***.",
        "abc",
    ]


def test_two_masks_hide_what_either_does() -> None:
    assert (Mask(["first"]) | Mask(["second"])).hide("first second third") == "*** *** third"


def test_short_values_hide_nothing() -> None:
    mask = Mask(["abc", ""])

    assert not mask
    assert mask.hide("abc") == "abc"


def test_a_mask_does_not_tell_what_it_hides() -> None:
    assert "opensesame" not in repr(Mask(["opensesame"]))
