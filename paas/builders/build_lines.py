"""What a build prints, as lines for its log: bounded, whatever it prints. Pure."""

import re

LONGEST_LINE = 8 * 1024  # characters; the rest is a line of its own
TAIL_BYTES = 32 * 1024  # kept of what comes after the limit: errors stand at the end
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]")


class BuildLines:
    """Takes output as it comes and gives whole lines; after about `limit_bytes` only the last, at the end."""

    def __init__(self, limit_bytes: int) -> None:
        self._left_bytes = limit_bytes
        self._rest = b""
        self._dropped_bytes = 0

    def feed(self, content: bytes) -> list[str]:
        """Take output, and give the lines that it ends."""
        self._rest += content
        if self._left_bytes <= 0:
            self._dropped_bytes += max(0, len(self._rest) - TAIL_BYTES)
            self._rest = self._rest[-TAIL_BYTES:]
            return []
        self._left_bytes -= len(content)
        *lines, self._rest = self._rest.split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        return _texts(lines)

    def finish(self) -> list[str]:
        """Give what is left, and say how much was left out."""
        if not self._rest:
            return []
        lines = self._rest.removesuffix(b"\n").split(b"\n")
        self._rest = b""
        if self._dropped_bytes:
            lines[0] = b"[%d bytes of output are left out here]" % (self._dropped_bytes + len(lines[0]))
        return _texts(lines)


def _texts(lines: list[bytes]) -> list[str]:
    return [_text(line[start : start + LONGEST_LINE]) for line in lines for start in _starts(line)]


def _starts(line: bytes) -> range:
    return range(0, max(1, len(line)), LONGEST_LINE)


def _text(line: bytes) -> str:
    """Make a line of what a terminal would show: progress overwrites itself, and nothing moves the cursor."""
    shown = line.rstrip(b"\r").rpartition(b"\r")[2]
    return _CONTROL.sub("", shown.decode("utf-8", "replace"))
