"""`.env` files: what is read of them, and that what is written reads the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.core import dotenv
from paas.core.errors import Invalid

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.dictionaries(NAMES, VALUES))
def test_what_is_written_reads_the_same(values: dict[str, str]) -> None:
    assert dotenv.parse(dotenv.render(values)) == values


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        values = dotenv.parse(text)
    except Invalid as error:
        assert error.message.startswith("cannot read line ")  # noqa: PT017 - either is right
    else:
        assert dotenv.parse(dotenv.render(values)) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("A=1", {"A": "1"}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=1", {"A": "1"}),
        ("# comment\n\n  # another\nA=1", {"A": "1"}),
        ("export A=1", {"A": "1"}),
        ("export\tA = 1 ", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A=''", {"A": ""}),
        ("A=b c  # not of it", {"A": "b c"}),
        ("A=b#c", {"A": "b#c"}),
        ("A=#b", {"A": "#b"}),
        ("A= # nothing", {"A": ""}),
        ("A=b=c", {"A": "b=c"}),
        ("A='b # c' # d", {"A": "b # c"}),
        (r"A='b\n$c'", {"A": r"b\n$c"}),
        (r'A="b\n\"c\" \$d \x"', {"A": 'b\n"c" $d \\x'}),
        ("A='b\nc'\nD=1", {"A": "b\nc", "D": "1"}),
        ('A="-----BEGIN\nKEY-----\n"\nD=1', {"A": "-----BEGIN\nKEY-----\n", "D": "1"}),
        ("A=$HOME ${X}", {"A": "$HOME ${X}"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=it's", {"A": "it's"}),
    ],
)
def test_what_files_have_is_understood(text: str, values: dict[str, str]) -> None:
    assert dotenv.parse(text) == values


@pytest.mark.parametrize(
    ("text", "line", "cause"),
    [
        ("A=1\nwhat is this", 2, "neither"),
        ("A='1\n2'\n\n1B=opensesame", 4, "no name"),
        ("A=1\nB='opensesame\n\n", 2, "the quote of B is not closed"),
        ('A="opensesame" b', 1, "behind the closing quote of A"),
        ("A-B=opensesame", 1, "no name"),
        ("=opensesame", 1, "neither"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line_and_shows_no_value(
    text: str, line: int, cause: str
) -> None:
    with pytest.raises(Invalid, match=f"cannot read line {line}: .*{cause}") as refused:
        dotenv.parse(text)

    assert "opensesame" not in refused.value.message
