"""Read YAML as far as a manifest needs it: plain values, no types of its own, bounded aliases."""

from collections.abc import Callable

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from paas.core.errors import BadManifest
from paas.manifest.document import DEEPEST, Document, Path, refusal

MOST_NODES = 10_000  # aliases make a few lines become millions
_PLAIN = frozenset(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))
_TEXT = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "timestamp", "value"))


def read_yaml(text: str, file_name: str, is_text: Callable[[Path], bool]) -> Document:
    """Read a document; scalars for which `is_text` are taken as they are written. Raises BadManifest."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        reader = _Reader(file_name, loader, is_text)
        root = {} if node is None else reader.value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        raise refusal(file_name, line, error.problem or error.context or "it is no YAML") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise refusal(
            file_name, None, f"it is no YAML that can be read ({error})".replace("\n", " ")
        ) from error
    if not isinstance(root, dict):
        raise refusal(file_name, 1, "it must hold keys such as `name: shop`")
    return Document(file_name=file_name, root=root, lines=reader.lines)


class _Reader:
    def __init__(self, file_name: str, loader: yaml.SafeLoader, is_text: Callable[[Path], bool]) -> None:
        self._file_name = file_name
        self._loader = loader
        self._is_text = is_text
        self._nodes = 0
        self.lines: dict[Path, int] = {}

    def value(self, node: Node, path: Path) -> object:
        self._nodes += 1
        if self._nodes > MOST_NODES or len(path) > DEEPEST:
            raise self._refused(node, "it holds too much")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(each, (*path, str(number))) for number, each in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, inner in node.value:
            if not isinstance(key, ScalarNode):
                raise self._refused(key, "a key must be a word")
            name = self._text(key)
            if name in found:
                raise self._refused(key, f"{name!a} is there twice")
            self.lines[(*path, name)] = key.start_mark.line + 1
            found[name] = self.value(inner, (*path, name))
        return found

    def _scalar(self, node: Node, path: Path) -> object:
        if node.tag in _TEXT or (node.tag in _PLAIN and self._is_text(path)):
            return self._text(node)
        if node.tag not in _PLAIN:
            raise self._refused(node, f"values of the type {node.tag!a} have no meaning here")
        try:
            value: object = self._loader.construct_object(node)
        except (ValueError, LookupError, OverflowError) as error:
            raise self._refused(node, f"{str(node.value)[:40]!a} is not of the type {node.tag!a}") from error
        return value

    def _text(self, node: Node) -> str:
        text = str(node.value)
        if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
            raise self._refused(node, "it holds half a character")
        return text

    def _refused(self, node: Node, cause: str) -> BadManifest:
        return refusal(self._file_name, node.start_mark.line + 1, cause)
