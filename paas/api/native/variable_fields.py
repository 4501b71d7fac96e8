"""What the native API takes and answers about variables. OpenAPI shows the same."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from paas.api.native.answers import Moment
from paas.api.native.params import AppPath, DeploymentPath
from paas.specs.fields import END, VARIABLE, Environ, Slug

LONGEST_VALUE = 64 * 1024

VariableName = Annotated[
    str, Meta(pattern=VARIABLE, max_length=255, description="letters, digits and underscores, no digit first")
]
IsSecret = Annotated[
    bool, Meta(description="never shown again, and hidden in logs; left out: as it was, for a new one false")
]
OfEnvironment = Annotated[
    Slug, Meta(description="those of this environment, which win; left out: those of the whole app")
]


class AppVariables(AppPath, forbid_unknown_fields=True, kw_only=True):
    environment: OfEnvironment | None = None


class AppVariable(AppVariables, forbid_unknown_fields=True, kw_only=True):
    name: VariableName


class AppImport(AppVariables, forbid_unknown_fields=True, kw_only=True):
    secret: IsSecret | None = None


class DeploymentVariable(DeploymentPath, forbid_unknown_fields=True, kw_only=True):
    name: VariableName


class DeploymentImport(DeploymentPath, forbid_unknown_fields=True, kw_only=True):
    secret: IsSecret | None = None


class PutVariable(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    value: Annotated[
        str, Meta(pattern=r"^[^\x00]*" + END, max_length=LONGEST_VALUE, description="text without NUL")
    ]
    secret: IsSecret | None = None

    def __repr__(self) -> str:
        return "PutVariable()"  # what is shown may end up in a log


class ChangeVariables(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Several at once, for one replacement of the tasks. `secret` is of those that get a value."""

    env: Environ
    secret: IsSecret | None = None

    def __repr__(self) -> str:
        return f"ChangeVariables({sorted(self.env)})"  # likewise


class Variable(msgspec.Struct, kw_only=True):
    """A variable where it is set. A deployment may also take one of the app away: no value, no secret."""

    name: str
    value: Annotated[str | None, Meta(description="null: a secret, or taken away")]
    secret: bool
    level: Literal["default", "app", "environment", "deployment"]
    environment: str | None
    created_at: Moment
    updated_at: Moment


class Variables(msgspec.Struct, kw_only=True):
    variables: list[Variable]
