"""What builds said: written by the agent itself, a line with its time; read, followed and bounded."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from paas.core.ids import BuildId
from paas.core.ports import Clock
from paas.core.records import dataclass
from paas.log_file import bound, read_lines, start_of_tail

BLOCK_BYTES = 512  # of stat's count of them
LONGEST_PIECE = 15 * 1024  # characters; a longer line is kept in pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildLine:
    """One line. `offset` is where reading goes on after it."""

    offset: int
    at: float  # epoch seconds
    message: str


class BuildLogs:
    """One file a build below `root`, of which about the last `kept_bytes` are kept."""

    def __init__(self, root: Path, clock: Clock, *, kept_bytes: int) -> None:
        self._root = root
        self._clock = clock
        self._kept_bytes = kept_bytes
        self._more = asyncio.Event()

    async def write(self, build_id: BuildId, lines: Sequence[str]) -> None:
        """Add lines to a build's log. Raises OSError."""
        at = self._clock.now()
        content = "".join(f"{at:.3f} {piece}\n" for line in lines for piece in _pieces(line))
        await asyncio.to_thread(self._append, self._path(build_id), content.encode("utf-8", "replace"))
        self.announce()

    async def read(self, build_id: BuildId, *, after: int = 0, tail: int | None = None) -> list[BuildLine]:
        """Read lines after an offset, about a mebibyte of them, or the last `tail` of the log."""
        return await asyncio.to_thread(self._read, self._path(build_id), after, tail)

    def announcement(self) -> asyncio.Event:
        """Give what is set once any build says or is something new; take it before reading."""
        return self._more

    def announce(self) -> None:
        self._more.set()
        self._more = asyncio.Event()

    async def keep_only(self, wanted: Callable[[], Awaitable[Iterable[BuildId]]]) -> None:
        """Delete the logs of all other builds; what is there is listed before `wanted` is asked."""
        there = await asyncio.to_thread(lambda: {BuildId(path.stem) for path in self._root.glob("*.log")})
        for build_id in there - set(await wanted()):
            await asyncio.to_thread(self._path(build_id).unlink, missing_ok=True)

    def _path(self, build_id: BuildId) -> Path:
        return self._root / f"{build_id}.log"

    def _append(self, path: Path, content: bytes) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(content)
            kept_bytes = os.fstat(file.fileno()).st_blocks * BLOCK_BYTES  # without what was freed
        if kept_bytes > self._kept_bytes * 5 // 4:
            bound(path, self._kept_bytes)

    def _read(self, path: Path, after: int, tail: int | None) -> list[BuildLine]:
        if tail is None:
            return _lines(path, after)[0]
        found: list[BuildLine] = []
        position = start_of_tail(path, tail, 0)
        while True:
            lines, next_position = _lines(path, position)
            found += lines
            if next_position == position:
                return found[max(0, len(found) - tail) :]
            position = next_position


def _lines(path: Path, after: int) -> tuple[list[BuildLine], int]:
    found, position = read_lines(path, after, ended=False)
    return [_line(offset, line) for offset, line in found], position


def _line(offset: int, line: bytes) -> BuildLine:
    text = line.decode("utf-8", "replace")
    at, _, message = text.partition(" ")
    try:
        return BuildLine(offset=offset, at=float(at), message=message)
    except ValueError:  # a full disk cut the line before it
        return BuildLine(offset=offset, at=0.0, message=text)


def _pieces(line: str) -> list[str]:
    """Keep a line below what is read as one, and an empty one as one."""
    return [line[start : start + LONGEST_PIECE] for start in range(0, max(1, len(line)), LONGEST_PIECE)]
