"""What a .dockerignore leaves out of a build's context, as Docker's own client reads it.

https://docs.docker.com/build/concepts/context/#dockerignore-files, and github.com/moby/patternmatcher
for what that does not say. Pure.
"""

import posixpath
import re
from typing import Self

from paas.core.records import dataclass

FILE = ".dockerignore"
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class _Pattern:
    regex: re.Pattern[str]
    keeps: bool  # it began with "!"


@dataclass(frozen=True, slots=True)
class _Verdict:
    is_left_out: bool
    matched: tuple[bool, ...]  # by pattern: whether it decided of this path, or of a folder above it


class Dockerignore:
    """Patterns in their order, of which the last that matches decides."""

    def __init__(self, patterns: tuple[_Pattern, ...], needed: frozenset[str]) -> None:
        self._patterns = patterns
        self._needed = needed
        self._verdicts: dict[str, _Verdict] = {"": _Verdict(False, (False,) * len(patterns))}  # of folders
        self.has_exceptions = any(pattern.keeps for pattern in patterns)

    @classmethod
    def parse(cls, text: str, *, needed: frozenset[str] = frozenset()) -> Self:
        """Read the file. Whatever it says, the paths that are `needed` are kept.

        Raises ValueError, which names the line.
        """
        patterns = []
        for number, line in enumerate(text.removeprefix(_BYTE_ORDER_MARK).split("\n"), start=1):
            if line.startswith("#") or not line.strip():
                continue
            try:
                patterns.append(_pattern(line.strip()))
            except ValueError as error:
                raise ValueError(f"line {number}, {line.strip()}: {error}") from error
        return cls(tuple(patterns), needed | {FILE})

    def leaves_out(self, path: str) -> bool:
        """Say it of a path relative to the context, with slashes.

        What lies in a folder that is left out is left out with it, unless an exception keeps it.
        """
        if path in self._needed:
            return False
        return self._verdict(path, self._folder(posixpath.dirname(path))).is_left_out

    def _folder(self, path: str) -> _Verdict:
        known = self._verdicts.get(path)
        if known is None:
            known = self._verdicts[path] = self._verdict(path, self._folder(posixpath.dirname(path)))
        return known

    def _verdict(self, path: str, above: _Verdict) -> _Verdict:
        """A pattern that decided of a folder decides of what lies in it; one that had nothing to turn there
        is asked of the path alone, so that `!a` does not take back an `a/b` before it.
        """
        is_left_out = False
        matched = []
        for pattern, did_above in zip(self._patterns, above.matched, strict=True):
            did = did_above or (pattern.keeps is is_left_out and pattern.regex.fullmatch(path) is not None)
            matched.append(did)
            if did:
                is_left_out = not pattern.keeps
        return _Verdict(is_left_out, tuple(matched))

    def may_keep_below(self, folder: str) -> bool:
        """Say whether something in a folder that is left out may be kept nevertheless."""
        return self.has_exceptions or any(path.startswith(f"{folder}/") for path in self._needed)


def names_of(dockerfile: str) -> tuple[str, str]:
    """Name the files that may say what to leave out, best first: a Dockerfile may have one of its own."""
    return f"{dockerfile}{FILE}", FILE


def _pattern(text: str) -> _Pattern:
    keeps = text.startswith("!")
    glob = text.removeprefix("!").strip()
    if not glob:
        raise ValueError("nothing follows the exclamation mark")
    clean = posixpath.normpath(re.sub("^/+", "/", glob))
    if clean != "/":
        clean = clean.removeprefix("/")
    try:
        return _Pattern(re.compile(_regex(clean), re.DOTALL), keeps)
    except re.error as error:
        raise ValueError(f"it is no pattern ({error})") from error


def _regex(glob: str) -> str:
    """Translate a pattern: `*` and `?` stay within a path's part, `**` takes any number of parts."""
    pieces: list[str] = []
    at = 0
    while at < len(glob):
        char = glob[at]
        at += 1
        if char == "*" and glob.startswith("*", at):
            at += 1
            if glob.startswith("/", at):
                at += 1
            pieces.append(".*" if at == len(glob) else "(?:.*/)?")
        elif char == "*":
            pieces.append("[^/]*")
        elif char == "?":
            pieces.append("[^/]")
        elif char == "[":
            end = glob.find("]", at + 1)
            if end < 0:
                raise ValueError("a bracket is not closed")
            pieces.append(f"[{glob[at:end].replace('[', chr(92) + '[')}]")
            at = end + 1
        elif char == "\\" and at < len(glob):
            pieces.append(re.escape(glob[at]))
            at += 1
        else:
            pieces.append(re.escape(char))
    return "".join(pieces)
