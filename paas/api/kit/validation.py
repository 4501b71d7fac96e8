"""Untyped input to records, or to an error that says which field is wrong."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from paas.core.errors import BadRequest
from paas.specs.refusals import refuse

S = TypeVar("S")


def decode_json(raw: bytes, kind: type[S]) -> S:
    """Read a JSON body. Raises BadRequest if it is no JSON, Invalid if it is not what we want."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        refuse(error, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(
            f"cannot read the body: it is not valid JSON ({error})",
            code="MALFORMED_JSON",
            hint="send a JSON object in UTF-8",
        ) from error


def convert(values: Mapping[str, object], kind: type[S]) -> S:
    """Read path, query and header values, which all arrive as text. Raises Invalid."""
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        refuse(error, kind)
