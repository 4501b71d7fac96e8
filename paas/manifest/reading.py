"""From the text of a manifest to what it says, or to the file, the line and the cause."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import UnsetType

from paas.core.errors import BadManifest, PaasError
from paas.core.records import replace
from paas.core.sources import check_path
from paas.core.spec import Spec
from paas.manifest.document import LARGEST_TEXT, Document, refusal
from paas.manifest.model import BuildSection, Manifest
from paas.manifest.shapes import BuildFields, ManifestFields
from paas.manifest.toml import read_toml
from paas.specs.fields import SpecFields
from paas.specs.reading import changed, variables
from paas.specs.refusals import refuse

PAAS_TOML, ZECTRE_YAML = "paas.toml", "zectre.yaml"
NAMES = (PAAS_TOML, ZECTRE_YAML)  # the first that is there counts
PACKAGE_JSON = "package.json"
S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")
Words = Callable[[str], str]


def of_folder(folder: Path) -> Manifest | None:
    """Read the manifest of a folder; None if it has none. Raises BadManifest. Blocks on the disk."""
    for name in NAMES:
        path = folder / name
        if path.is_file():
            manifest = read(_text_of(path, name), name)
            if name == ZECTRE_YAML and _has_tish_section(folder / PACKAGE_JSON):
                return replace(manifest, build=BuildSection())
            return manifest
    return None


def read(text: str, file_name: str) -> Manifest:
    """Read a manifest; what its file is called says how it is written. Raises BadManifest."""
    if len(text) > LARGEST_TEXT:
        raise refusal(file_name, None, f"it has more than {LARGEST_TEXT} characters")
    if file_name.endswith((".yaml", ".yml")):
        return _read_zectre(text, file_name)
    document = read_toml(text, file_name)
    return _manifest(document, document.root, _same)


def _read_zectre(text: str, file_name: str) -> Manifest:
    from paas.manifest import yaml, zectre  # noqa: PLC0415 - a library that nothing else needs

    document = yaml.read_yaml(text, file_name, zectre.is_text)
    fields = _converted(document, document.root, zectre.ZectreFields, _same)
    return _manifest(document, zectre.in_our_words(fields), zectre.in_its_words)


def _manifest(document: Document, said: Mapping[str, object], words: Words) -> Manifest:
    fields = _converted(document, said, ManifestFields, words)
    try:
        _check(fields)
        build = _build(fields.build)
    except PaasError as error:
        raise document.refusal(words(error.field or ""), error.message, error.hint) from error
    given = msgspec.to_builtins(fields)
    if "image" in given and build != BuildSection():
        raise document.refusal(
            words("build"), "nothing is built where an image is given", "leave one of them out"
        )
    return Manifest(
        file_name=document.file_name,
        name=_or_none(fields.name),
        namespace=_or_none(fields.namespace),
        environment=_or_none(fields.environment),
        build=build,
        spec={key: given[key] for key in given if key in SpecFields.__struct_fields__ and key != "env"},
        env=given.get("env", {}),
    )


def _converted(document: Document, said: Mapping[str, object], kind: type[S], words: Words) -> S:
    _refuse_endless(document, said, "", words)
    _refuse_no_text(document, said, words)
    try:
        try:
            return msgspec.convert(said, kind)
        except msgspec.ValidationError as error:
            refuse(error, kind)
    except BadManifest:
        raise
    except PaasError as error:
        cause = error.message.removeprefix("cannot accept ")
        field = words(error.field or "")
        if error.field and field != error.field:
            cause = cause.replace(error.field, field, 1)
        raise document.refusal(field, cause, error.hint) from error


def _check(fields: ManifestFields) -> None:
    """Raise what a deployment of this would be refused for, whatever is built."""
    is_open = isinstance(fields.process_type, UnsetType) and isinstance(fields.image, UnsetType)
    # A native program has no volumes; what a folder becomes is only known once it is built.
    base = Spec(process_type="docker") if is_open and not isinstance(fields.volumes, UnsetType) else Spec()
    changed(base, fields)
    variables(fields.env)


def _build(fields: BuildFields | UnsetType) -> BuildSection:
    if isinstance(fields, UnsetType):
        return BuildSection()
    given = msgspec.to_builtins(fields)
    for key in ("path", "dockerfile"):
        if key in given:
            given[key] = check_path(given[key], field=f"build.{key}")
    return msgspec.convert(given, BuildSection)


def _refuse_no_text(document: Document, said: Mapping[str, object], words: Words) -> None:
    """Refuse variables that are no text one by one; the library would not say which."""
    env = said.get("env")
    for name, value in env.items() if isinstance(env, Mapping) else ():
        if not isinstance(value, str):
            field = words(f"env.{name}")
            raise document.refusal(field, f"{field}: it is no text", hint="write it in quotes")


def _refuse_endless(document: Document, value: object, field: str, words: Words) -> None:
    """Refuse numbers that are none: no request could hold them."""
    if isinstance(value, float) and not math.isfinite(value):
        raise document.refusal(words(field), f"{words(field)}: {value} is no number that can be used")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_endless(document, inner, f"{field}.{key}" if field else key, words)
    if isinstance(value, list):
        for number, inner in enumerate(value):
            _refuse_endless(document, inner, f"{field}.{number}", words)


def _text_of(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(4 * LARGEST_TEXT + 1).decode("utf-8")
    except OSError as error:
        raise refusal(name, None, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise refusal(name, None, "it is not written in UTF-8") from error


def _has_tish_section(package_json: Path) -> bool:
    """Say whether the compiler has its settings elsewhere: then those of zectre.yaml do not count."""
    try:
        with package_json.open("rb") as file:
            found = json.loads(file.read(4 * LARGEST_TEXT))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "tish" in found


def _or_none(value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else value


def _same(field: str) -> str:
    return field
