"""The engine's log entries: taken apart, resumed without a gap or a repeat, lines kept whole."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paas.drivers.docker_frames import LONGEST_LINE_BYTES, LOST, Entries, since

SECOND = 10**9


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as the engine stores it: 1 is stdout, 2 is stderr; `at` in nanoseconds."""

    stream: int
    at: int
    content: bytes

    @property
    def frame(self) -> bytes:
        stamp = b"2026-11-22T10:00:%02d.%09dZ" % divmod(self.at, SECOND)
        entry = stamp + b" " + self.content
        return bytes([self.stream, 0, 0, 0]) + len(entry).to_bytes(4, "big") + entry


@st.composite
def logs(draw: st.DrawFn) -> list[Entry]:
    """Draw a log: stamps grow in each stream, may be equal, and are stored a little out of order."""
    entries = []
    times = {1: 0, 2: 0}
    for number in range(draw(st.integers(1, 25))):
        stream = draw(st.sampled_from((1, 2)))
        times[stream] = max(times[stream], max(times.values()) - draw(st.sampled_from((0, 2, SECOND // 2))))
        times[stream] += draw(st.sampled_from((0, 0, 1, 700, SECOND)))
        pieces = draw(st.sampled_from((1, 1, 1, 2, 3)))  # of a long line, all with one stamp
        for piece in range(pieces):
            end = b"\n" if piece == pieces - 1 else b""
            content = b"%s %d.%d" % (b"out" if stream == 1 else b"err", number, piece)
            entries.append(Entry(stream, times[stream], content + end))
    return entries


def ask(entries: Sequence[Entry], cursor: str) -> bytes:
    """Answer as the engine does: what came at `since` or after it."""
    whole, _, rest = since(cursor).partition(".")
    start = (int(whole) - 1795341600) * SECOND + int(rest) if cursor else 0
    return b"".join(entry.frame for entry in entries if entry.at >= start)


def written(entries: Sequence[Entry], stream: int) -> bytes:
    return b"".join(entry.content for entry in entries if entry.stream == stream)


def per_stream(content: bytes) -> tuple[bytes, bytes]:
    lines = content.splitlines(keepends=True)
    return (
        b"".join(line for line in lines if line.startswith(b"out")),
        b"".join(line for line in lines if line.startswith(b"err")),
    )


@example([Entry(1, 1, b"out"), Entry(1, 1, b"\n"), Entry(2, 0, b"err\n")], [42], [])
@given(logs(), st.lists(st.integers(0, 3000), max_size=4), st.lists(st.integers(1, 200), max_size=20))
def test_whatever_is_cut_off_where_each_line_comes_once_and_whole(
    entries: list[Entry], cuts: list[int], chunks: list[int]
) -> None:
    content, cursor = b"", ""
    for cut in [*sorted(cuts), None]:
        reader = Entries(cursor)
        stream = ask(entries, cursor)[:cut]
        for size in [*chunks, len(stream)]:
            content += reader.take(stream[:size])
            stream = stream[size:]
            cursor = reader.cursor()

    assert per_stream(content) == (written(entries, 1), written(entries, 2))


def test_entries_come_in_the_order_in_which_they_are_stored() -> None:
    entries = [Entry(1, 5, b"a\n"), Entry(2, 4, b"b\n"), Entry(1, 5, b"c\n")]

    assert Entries().take(b"".join(entry.frame for entry in entries)) == b"a\nb\nc\n"


def test_a_line_of_several_entries_is_not_torn_by_the_other_stream() -> None:
    entries = [Entry(1, 5, b"lo"), Entry(2, 6, b"other\n"), Entry(1, 5, b"ng\n")]

    assert Entries().take(b"".join(entry.frame for entry in entries)) == b"other\nlong\n"


def test_a_line_without_end_is_not_held_for_ever() -> None:
    piece = b"x" * (LONGEST_LINE_BYTES // 4)
    reader = Entries()

    given_bytes = sum(len(reader.take(Entry(1, 5, piece).frame)) for _ in range(40))

    assert given_bytes >= 35 * len(piece)
    assert given_bytes + len(reader.rest()) == 40 * len(piece)


def test_lines_that_the_engine_dropped_meanwhile_are_told() -> None:
    entries = [Entry(1, number * SECOND, b"out %d\n" % number) for number in range(10)]
    reader = Entries()
    reader.take(ask(entries[:4], ""))

    after = Entries(reader.cursor()).take(ask(entries[7:], reader.cursor()))

    assert after == LOST + b"out 7\nout 8\nout 9\n"


def test_a_stream_that_was_silent_for_long_does_not_make_the_engine_send_all_again() -> None:
    reader = Entries()
    reader.take(Entry(2, 0, b"once\n").frame)
    reader.take(b"".join(Entry(1, 59 * SECOND + number, b"out\n").frame for number in range(3)))

    assert float(since(reader.cursor())) >= 1795341600 + 49


def test_times_of_whole_seconds_are_gone_on_from_as_well() -> None:
    """As Podman gives them."""
    entries = [b"2026-11-22T11:00:0%d+01:00 out %d\n" % (number // 3, number) for number in range(9)]
    frames = [b"\1\0\0\0" + len(entry).to_bytes(4, "big") + entry for entry in entries]
    reader = Entries()
    reader.take(b"".join(frames[:5]))

    after = Entries(reader.cursor()).take(b"".join(frames))

    assert since(reader.cursor()) == "1795341591.000000000"
    assert after == b"".join(b"out %d\n" % number for number in range(5, 9))


@pytest.mark.parametrize(
    "stream", [b"\x01\0\0\0\xff\0\0\0", b"\x07\0\0\0\0\0\0\x21" + b"x" * 33, b"HTTP/1.1 200 OK\r\n" * 9]
)
def test_what_is_no_log_is_refused(stream: bytes) -> None:
    with pytest.raises(ValueError, match="frame"):
        Entries().take(stream)
