"""A copied log: whatever moment the agent dies at, going on gives the same bytes once."""

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from paas.log_copy import LOST, LogCopy
from paas.log_file import bound


def copies(folder: Path) -> LogCopy:
    return LogCopy(folder / "a.log", folder / "a.place")


def content(folder: Path) -> bytes:
    return (folder / "a.log").read_bytes()


def copy_on(folder: Path, source: bytes, ends: list[int]) -> None:
    """Copy a source up to each of these ends; a cursor is a position in it."""
    log = copies(folder)
    position = int(log.resume() or 0)
    for end in ends:
        if end > position:
            log.append(source[position:end], str(end))
            position = end


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8), st.lists(st.integers(0, 50)))
def test_what_was_written_but_not_noted_is_written_again_in_place(
    source: bytes, ends: list[int], torn: list[int]
) -> None:
    ends = [*sorted(min(end, len(source)) for end in ends), len(source)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        for (_, end), extra in zip(pairwise([0, *ends]), [*torn, *[0] * len(ends)], strict=False):
            copy_on(folder, source, [end])
            with (folder / "a.log").open("r+b") as log:  # as a death between the two writes leaves it
                log.seek(end)
                log.write(source[end : end + extra])

        copy_on(folder, source, [len(source)])

        assert content(folder) == source


def test_what_lies_behind_the_end_is_cut_off(tmp_path: Path) -> None:
    copy_on(tmp_path, b"one\n", [4])
    with (tmp_path / "a.log").open("ab") as log:
        log.write(b"of another source")

    last = copies(tmp_path)
    last.resume()
    last.finish()

    assert content(tmp_path) == b"one\n"


def test_a_log_shorter_than_noted_says_so_and_goes_on(tmp_path: Path) -> None:
    copy_on(tmp_path, b"one\ntwo\nthree\n", [8])
    (tmp_path / "a.log").write_bytes(b"one\n")

    copy_on(tmp_path, b"one\ntwo\nthree\n", [14])

    assert content(tmp_path) == b"one\n" + LOST + b"three\n"


def test_a_damaged_place_means_all_over_again(tmp_path: Path) -> None:
    copy_on(tmp_path, b"one\ntwo\n", [4])
    (tmp_path / "a.place").write_bytes(b"\0" * 256)

    copy_on(tmp_path, b"one\ntwo\n", [8])

    assert content(tmp_path) == b"one\ntwo\n"


def test_a_bounded_log_is_gone_on_with(tmp_path: Path) -> None:
    source = b"".join(b"%07d\n" % number for number in range(10_000))
    copy_on(tmp_path, source, [40_000])
    freed = bound(tmp_path / "a.log", 8192)

    copy_on(tmp_path, source, [len(source)])

    assert content(tmp_path)[freed:] == source[freed:]
    assert freed >= 28_000
