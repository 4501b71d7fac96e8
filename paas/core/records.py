"""Records: the standard library's data classes in all that a caller sees, defined in a thirtieth of the time.

`dataclasses` writes and compiles the methods of each class while its module is imported, which takes nearly
a millisecond a class, and over a hundred are defined before the agent's first answer. Structs of msgspec
need none of that. The type checker is told of data classes, since it can check their `replace`.
"""

from typing import TYPE_CHECKING

__all__ = ("dataclass", "field", "field_names", "replace")

if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace

    def field_names(record: object) -> tuple[str, ...]:
        """Name the fields of a record, or of a class of them, in their order."""
else:
    from collections.abc import Callable, Iterator

    import msgspec
    from msgspec.structs import replace

    _OF_ANY_CLASS = ("__dict__", "__weakref__")

    class _Hidden:
        """A field that `repr` leaves out."""

        def __init__(self, field: object) -> None:
            self.field = field

    def field(*, repr: bool = True, **default: object) -> object:  # noqa: A002 - as it is called there
        made = msgspec.field(**default)
        return made if repr else _Hidden(made)

    def dataclass(
        *, slots: bool, frozen: bool = False, kw_only: bool = False, eq: bool = True
    ) -> Callable[[type], type]:
        """Make a record of a class: with `slots` always, and without what it does not name here."""
        if not slots:
            raise TypeError("cannot define a record without slots")

        def define(kind: type) -> type:
            if issubclass(kind, msgspec.Struct):  # its base is a record, and so it is one already
                if any(isinstance(default, _Hidden) for default in kind.__struct_defaults__):
                    raise TypeError(f"cannot hide a field of {kind.__name__}: it is derived from a record")
                return kind
            body = {name: value for name, value in vars(kind).items() if name not in _OF_ANY_CLASS}
            hidden = {name for name, value in body.items() if isinstance(value, _Hidden)}
            body.update((name, body[name].field) for name in hidden)
            if hidden:
                body.update(_shown_without(hidden))
            bases = tuple(base for base in kind.__bases__ if base is not object)
            return type(msgspec.Struct)(
                kind.__name__, (msgspec.Struct, *bases), body, frozen=frozen, kw_only=kw_only, eq=eq
            )

        return define

    def _shown_without(hidden: set[str]) -> dict[str, object]:
        def pairs(self: msgspec.Struct) -> Iterator[tuple[str, object]]:
            return ((name, getattr(self, name)) for name in self.__struct_fields__ if name not in hidden)

        def shown(self: msgspec.Struct) -> str:
            return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in pairs(self))})"

        return {"__repr__": shown, "__rich_repr__": pairs}

    def field_names(record: object) -> tuple[str, ...]:
        return record.__struct_fields__
