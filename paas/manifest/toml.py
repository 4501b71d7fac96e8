"""Read TOML, and find on which line each key stands: the library reads, this follows it."""

import re
import tomllib
from collections.abc import Mapping

from paas.manifest.document import Document, Path, check_depth, refusal

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_STRING = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""(?:""?(?!"))?|\'\'\'.*?\'\'\'(?:\'\'?(?!\'))?|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''',
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]*")
_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def read_toml(text: str, file_name: str) -> Document:
    """Read a document. Raises BadManifest."""
    try:
        root = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _AT.search(str(error))
        line = int(found[1]) if found and found[1] else len(text.splitlines())
        raise refusal(file_name, line, _AT.sub("", str(error)).lower()) from error
    except (RecursionError, ValueError) as error:  # ValueError: a number that has too many digits
        raise refusal(file_name, None, f"it is no TOML that can be read ({error})") from error
    check_depth(file_name, root)
    _spell_out(root.get("env"))
    # The library takes both ends of a line as one; so must whoever counts them.
    return Document(file_name=file_name, root=root, lines=_Lines(text.replace("\r\n", "\n")).found)


def _spell_out(env: object) -> None:
    """Take whole numbers and booleans for the text that they are in an environment."""
    if not isinstance(env, dict):
        return
    for name, value in env.items():
        if isinstance(value, bool):
            env[name] = "true" if value else "false"
        elif isinstance(value, int):
            env[name] = str(value)


class _Lines:
    """Walks over a text that is known to be TOML."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._counted_to = 0
        self._elements: dict[Path, int] = {}  # of arrays of tables: the number of the last
        self.found: dict[Path, int] = {}
        table: Path = ()
        while self._skip(_BLANK) < len(text):
            if text[self._at] == "[":
                table = self._header()
            else:
                self._assignment(table)

    def _header(self) -> Path:
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        line = self._line_here()
        table: Path = ()
        keys = self._keys()
        for number, key in enumerate(keys):
            table = (*table, key)
            if is_array and number == len(keys) - 1:
                self._elements[table] = self._elements.get(table, -1) + 1
            self.found.setdefault(table, line)
            if table in self._elements:
                table = (*table, str(self._elements[table]))
        self.found[table] = line
        self._skip(re.compile(r"[ \t]*\]\]?"))
        return table

    def _assignment(self, table: Path) -> None:
        line = self._line_here()
        path = table
        for key in self._keys():
            path = (*path, key)
            self.found.setdefault(path, line)
        self._skip(re.compile(r"[ \t]*="))
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        self.found.setdefault(path, self._line_here())
        opening = self._text[self._at]
        if opening == "[":
            self._inside("]", path)
        elif opening == "{":
            self._inside("}", path)
        else:
            self._skip(_STRING if opening in "\"'" else _SCALAR)

    def _inside(self, closing: str, path: Path) -> None:
        self._at += 1
        number = 0
        while self._text[self._skip(_BLANK)] != closing:
            if closing == "]":
                self._value((*path, str(number)))
            else:
                self._assignment(path)
            number += 1
            if self._text[self._skip(_BLANK)] == ",":
                self._at += 1
        self._at += 1

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(re.compile(r"[ \t]*"))
            start = self._at
            keys.append(_plain(self._text[start : self._skip(_KEY)]))
            if _DOT.match(self._text, self._at) is None:
                return keys
            self._skip(_DOT)

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return self._at

    def _line_here(self) -> int:
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        return self._line


def _plain(key: str) -> str:
    """Take a key out of its quotes."""
    if key.startswith("'"):
        return key[1:-1]
    if not key.startswith('"'):
        return key
    read: Mapping[str, str] = tomllib.loads(f"key = {key}")
    return read["key"]
