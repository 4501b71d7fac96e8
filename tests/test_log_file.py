"""A log that is read while another thread frees a part of it."""

import os
import sys
from pathlib import Path
from types import FrameType

from paas.log_file import bound, read_lines


def test_what_is_freed_while_it_is_read_is_no_line(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"".join(b"%07d\n" % number for number in range(10_000)))
    freed: list[int] = []

    def preempt(_frame: FrameType, event: str, called: object) -> None:
        """Let the other thread run between the question where the log begins and the reading."""
        if event == "c_call" and called is os.pread and not freed:
            freed.append(bound(log, 8192))

    sys.setprofile(preempt)
    try:
        lines, position = read_lines(log, 8, ended=False)
    finally:
        sys.setprofile(None)

    first = freed[0] // 8 + 1  # the line at the edge of what was freed is not whole for certain
    assert [line for _, line in lines] == [b"%07d" % number for number in range(first, 10_000)]
    assert position == 80_000
