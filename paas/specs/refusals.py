"""msgspec's complaints about untyped input, to our errors: field path and hint."""

import difflib
import re
from typing import NoReturn

import msgspec
from msgspec import inspect

from paas.core.errors import Invalid

_AT = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_SEGMENT = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


def refuse(error: msgspec.ValidationError, kind: type[object]) -> NoReturn:
    """Say as Invalid which field msgspec did not like, why, and what would do."""
    found = _AT.fullmatch(str(error))
    what, path = (found["what"], found["path"] or "") if found else (str(error), "")
    segments = [name or index for name, index in _SEGMENT.findall(path)]
    places = ["*" if segment == "..." else segment for segment in segments]  # which, msgspec does not say
    unknown, missing = _UNKNOWN.fullmatch(what), _MISSING.fullmatch(what)
    if unknown is not None:
        refuse_unknown(unknown[1], known_fields(kind, segments), inside=places)
    if missing is not None:
        field = ".".join([*places, missing[1]])
        hint = _description(kind, [*segments, missing[1]])
        raise Invalid(f"cannot accept the request: {field} is missing", field=field, hint=hint) from error
    while segments and segments[-1] == "...":
        segments.pop()
    field = ".".join(places[: len(segments)])
    named = f"a name in {field}" if found and found["key"] else field or "the body"
    raise Invalid(
        f"cannot accept {named}: {_plain(what)}", field=field or None, hint=_description(kind, segments)
    ) from error


def refuse_unknown(name: str, known: list[str], *, inside: list[str] | None = None) -> NoReturn:
    """Refuse a field by name, with the nearest known one."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        hint = f"did you mean {near[0]}?"
    else:
        hint = f"known here: {', '.join(sorted(known))}" if known else "nothing may be given here"
    field = ".".join([*(inside or ()), name])
    raise Invalid(
        f"cannot accept {field}: there is no such field", code="UNKNOWN_FIELD", field=field, hint=hint
    )


def known_fields(kind: type[object], segments: list[str] | None = None) -> list[str]:
    """Name the fields of a record, or of one inside it."""
    found = _inside(inspect.type_info(kind), segments or [])
    return [field.encode_name for field in found.fields] if isinstance(found, inspect.StructType) else []


def _plain(what: str) -> str:
    return (what[:1].lower() + what[1:]).replace("`", "").replace(" | UnsetType", "")


def _description(kind: type[object], segments: list[str]) -> str | None:
    """Find what the definition says of a field, for the hint."""
    found: inspect.Type | None = inspect.type_info(kind)
    for segment in segments:
        found = _step(found, segment)
    for option in _options(found):
        if isinstance(option, inspect.Metadata) and option.extra_json_schema:
            text = option.extra_json_schema.get("description")
            return str(text) if text else None
        if isinstance(option, inspect.LiteralType):
            return f"one of {', '.join(str(value) for value in option.values)}"
    return None


def _inside(found: inspect.Type | None, segments: list[str]) -> inspect.Type | None:
    for segment in segments:
        found = _step(found, segment)
    for option in _options(found):
        bare = _bare(option)
        if isinstance(bare, inspect.StructType):
            return bare
    return None


def _step(found: inspect.Type | None, segment: str) -> inspect.Type | None:
    for option in _options(found):
        bare = _bare(option)
        if isinstance(bare, inspect.StructType):
            return next((field.type for field in bare.fields if field.encode_name == segment), None)
        if isinstance(bare, inspect.ListType | inspect.VarTupleType):
            return bare.item_type
        if isinstance(bare, inspect.DictType):
            return bare.value_type
    return None


def _options(found: inspect.Type | None) -> list[inspect.Type]:
    if found is None:
        return []
    bare = _bare(found)
    inner = list(bare.types) if isinstance(bare, inspect.UnionType) else []
    return [found, *inner]


def _bare(found: inspect.Type) -> inspect.Type:
    return found.type if isinstance(found, inspect.Metadata) else found
