"""Hides secret values in what people are shown. Pure."""

import re
from collections.abc import Iterable

MASK = "***"
SHORTEST = 4  # characters; what is shorter would hide half of every text


class Mask:
    """Hides values, whole and line by line; those of fewer than four characters are not hidden."""

    __slots__ = ("_pattern", "_values")

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values = tuple(sorted(_parts(values), key=len, reverse=True))
        self._pattern: re.Pattern[str] | None = None

    def __bool__(self) -> bool:
        """Say whether there is anything to hide."""
        return bool(self._values)

    def __or__(self, other: "Mask") -> "Mask":
        return Mask((*self._values, *other._values)) if other else self

    def hide(self, text: str) -> str:
        """Put `***` in the place of every value, also of values that overlap each other."""
        if not any(value in text for value in self._values):
            return text
        if self._pattern is None:
            # The longest first, and looking ahead, so that the next may begin inside the last.
            self._pattern = re.compile(f"(?=({'|'.join(map(re.escape, self._values))}))")
        shown: list[str] = []
        end = 0
        for found in self._pattern.finditer(text):
            start, stop = found.span(1)
            if start > end or not shown:
                shown += (text[end:start], MASK)
            end = max(end, stop)
        return "".join((*shown, text[end:]))


def _parts(values: Iterable[str]) -> set[str]:
    """Take what is to be hidden: the values, and each of their lines, for logs have lines."""
    whole = set(values)
    lines = {line.strip() for value in whole for line in value.splitlines()}
    return {part for part in whole | lines if len(part) >= SHORTEST}


NOTHING = Mask()
