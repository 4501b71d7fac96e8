"""docs/manifest.md against the reader."""

import re

import msgspec
from msgspec import inspect

from paas.manifest import read
from paas.manifest.shapes import ManifestFields
from paas.manifest.zectre import ZectreFields
from tests.harness import REPOSITORY

PAGE = (REPOSITORY / "docs" / "manifest.md").read_text()
OURS, ITS = PAGE.split("## `zectre.yaml`")


def test_example_is_read() -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None

    manifest = read(example[1], "paas.toml")

    assert (manifest.name, manifest.environment, manifest.build.start) == (
        "shop",
        "production",
        "node server.js",
    )
    assert manifest.spec["resources"] == {"cpu": "500m", "memory": "256Mi"}
    assert manifest.env == {"LOG_LEVEL": "info"}


def test_every_key_has_its_meaning() -> None:
    for key in keys_of(ManifestFields):
        assert any(f"`{shape}" in OURS for shape in (f"{key}`", f"[{key}]", f"[[{key}]]", f"[{key}.")), key
    for key in keys_of(ZectreFields):
        assert re.search(rf"`([a-z_]+\.)*{key}`", ITS), key


def keys_of(kind: type[msgspec.Struct]) -> list[str]:
    """Name the keys of a table and of the tables in it; those that hold others need no meaning."""
    found = []
    for field in msgspec.structs.fields(kind):
        inner = _structs(inspect.type_info(field.type))
        found += [field.name] if not inner else [key for each in inner for key in keys_of(each)]
    return found


def _structs(found: inspect.Type) -> list[type[msgspec.Struct]]:
    match found:
        case (
            inspect.Metadata(type=bare) | inspect.ListType(item_type=bare) | inspect.DictType(value_type=bare)
        ):
            return _structs(bare)
        case inspect.UnionType(types=options):
            return [each for option in options for each in _structs(option)]
        case inspect.StructType(cls=kind):
            return [kind]
        case _:
            return []
