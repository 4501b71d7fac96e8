"""Read and write variables as `.env` files have them. Pure.

What is understood: `NAME=value`, with or without `export` before it; comments; values in single quotes, as
they are, or in double quotes, with \\n, \\r, \\t and a backslash before what stands for itself; both may span
lines. Nothing is put in the place of `$NAME`.
"""

import re
from collections.abc import Iterator, Mapping

from paas.core.errors import Invalid

_SKIPPED = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")
_NAMED = re.compile(r"[^\S\n]*(?:export[^\S\n]+)?(?P<name>[^\s=#'\"]+)[^\S\n]*=")
_SINGLE = re.compile(r"[^\S\n]*'(?P<value>[^']*)'")
_DOUBLE = re.compile(r'[^\S\n]*"(?P<value>(?:[^"\\]|\\.)*)"', re.DOTALL)
_OPENED = re.compile(r"[^\S\n]*['\"]")
_PLAIN = re.compile(r"(?P<value>[^\n]*?)(?:[^\S\n]+#[^\n]*)?[^\S\n]*(?:\n|\Z)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$", "`": "`", "'": "'", "\n": ""}
_SAFE = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")


def parse(text: str) -> dict[str, str]:
    """Read variables by name; of a name that comes twice, the last. Raises Invalid, which says the line."""
    return dict(_entries(text.removeprefix("\ufeff")))


def render(values: Mapping[str, str]) -> str:
    """Write variables so that `parse` reads the same, and a shell that sources them, too."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def _entries(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        skipped = _SKIPPED.match(text, position)
        if skipped is not None:
            position = skipped.end()
            continue
        named = _NAMED.match(text, position)
        if named is None:
            raise _unreadable(text, position, "it is neither NAME=value nor a comment")
        name = named["name"]
        if _NAME.fullmatch(name) is None:
            raise _unreadable(
                text, position, f"{name[:64]!a} is no name; letters, digits and underscores make one"
            )
        value, position = _value(text, named.end(), name)
        yield name, value


def _value(text: str, start: int, name: str) -> tuple[str, int]:
    """Read a value, and say where the next line begins."""
    if _OPENED.match(text, start) is None:
        plain = _PLAIN.match(text, start)
        assert plain is not None  # noqa: S101 - it matches everything
        return plain["value"].strip(), plain.end()
    single, double = _SINGLE.match(text, start), _DOUBLE.match(text, start)
    quoted = single or double
    if quoted is None:
        raise _unreadable(text, start, f"the quote of {name} is not closed")
    rest = _SKIPPED.match(text, quoted.end())
    if rest is None:
        raise _unreadable(text, quoted.end(), f"something stands behind the closing quote of {name}")
    value = quoted["value"]
    return value if single else _ESCAPE.sub(_unescape, value), rest.end()


def _unescape(found: re.Match[str]) -> str:
    return _ESCAPED.get(found[1], found[0])


def _quoted(value: str) -> str:
    if _SAFE.fullmatch(value):
        return value
    if not re.search(r"['\n\r]", value):
        return f"'{value}'"
    escaped = re.sub(r'[\\"$`]', r"\\\g<0>", value)
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r") + '"'


def _unreadable(text: str, position: int, cause: str) -> Invalid:
    """Say which line it is, and nothing of its value, which may be a secret."""
    line = text.count("\n", 0, position) + 1
    return Invalid(
        f"cannot read line {line}: {cause}", code="BAD_ENV_FILE", hint="write NAME=value, or NAME='a value'"
    )
