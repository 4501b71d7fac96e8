"""A text as nested mappings and lists, and the line on which each of its keys stands."""

from collections.abc import Mapping, Sequence

from paas.core.errors import BadManifest
from paas.core.records import dataclass

Path = tuple[str, ...]  # names and, in lists, numbers
LARGEST_TEXT = 64 * 1024  # characters
DEEPEST = 16  # tables in tables; nothing that is known is a third as deep


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a file holds, not yet checked."""

    file_name: str
    root: Mapping[str, object]
    lines: Mapping[Path, int]

    def line_of(self, field: str) -> int:
        """Find the line of a field such as `networking.port`, or of what it would stand in."""
        path = tuple(field.split("."))
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def refusal(self, field: str | None, cause: str, hint: str | None = None) -> BadManifest:
        return refusal(self.file_name, self.line_of(field or ""), cause, hint)


def refusal(file_name: str, line: int | None, cause: str, hint: str | None = None) -> BadManifest:
    """Say which file, and which line of it, cannot be used."""
    where = file_name if line is None else f"{file_name}:{line}"
    return BadManifest(f"cannot use {where}: {cause}", hint=hint)


def check_depth(file_name: str, root: object) -> None:
    """Raise BadManifest for what is nested so deep that nobody has written it."""
    level: Sequence[object] = [root]
    for _ in range(DEEPEST):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise refusal(file_name, None, "it is nested too deep")


def _inside(value: object) -> Sequence[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else ()
