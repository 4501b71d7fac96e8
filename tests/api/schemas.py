"""Hold a JSON value against a schema of our OpenAPI document: the part of JSON Schema that it uses."""

import re
from collections.abc import Mapping

from tests.api.conftest import Json

KNOWN_WORDS = {
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "propertyNames",
    "required",
    "title",
    "type",
}
TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def faults(value: object, schema: Json, document: Json, path: str = "$") -> list[str]:
    """List where a value is not what the schema says; a property that no schema names is a fault too."""
    unknown = set(schema) - KNOWN_WORDS
    assert not unknown, f"this check does not know {unknown}"
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        return faults(value, document["components"]["schemas"][name], document, path)
    if "anyOf" in schema:
        tries = [faults(value, option, document, path) for option in schema["anyOf"]]
        return [] if any(not found for found in tries) else min(tries, key=len)
    found = _own_faults(value, schema, path)
    if found:
        return found
    if isinstance(value, dict):
        return _in_object(value, schema, document, path)
    if isinstance(value, list):
        items = schema.get("items", {})
        return [
            fault for n, item in enumerate(value) for fault in faults(item, items, document, f"{path}[{n}]")
        ]
    return []


def _own_faults(value: object, schema: Json, path: str) -> list[str]:
    if "type" in schema:
        fits = isinstance(value, TYPES[schema["type"]])
        if not fits or (isinstance(value, bool) and schema["type"] != "boolean"):
            return [f"{path} is {value!r}, not {schema['type']}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{path} is {value!r}, not one of {schema['enum']}"]
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return [f"{path} is {value!r}"]
    if isinstance(value, int | float):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        return [] if low <= value <= high else [f"{path} is {value!r}"]
    return []


def _in_object(value: Json, schema: Json, document: Json, path: str) -> list[str]:
    found = [f"{path}.{name} is missing" for name in schema.get("required", []) if name not in value]
    properties = schema.get("properties", {})
    rest = schema.get("additionalProperties", "properties" not in schema)
    for name, inner in value.items():
        if name in properties:
            found += faults(inner, properties[name], document, f"{path}.{name}")
        elif rest is False:
            found.append(f"{path}.{name} is not described")
        elif isinstance(rest, dict):
            found += faults(inner, rest, document, f"{path}.{name}")
    return found
