"""Records keep what data classes promise: both are held to the same list."""

# mypy: disable-error-code="attr-defined, call-arg, misc"
# The checker does not see what a decorator from a fixture makes of a class.

import copy
import dataclasses
import pickle
import types
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from paas.core import records

T = TypeVar("T")


@pytest.fixture(params=[dataclasses, records], ids=["dataclasses", "records"])
def kit(request: pytest.FixtureRequest) -> types.ModuleType:
    found: types.ModuleType = request.param
    return found


@records.dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    name: str


def test_fields_are_given_by_name_and_have_defaults_of_their_own(kit: types.ModuleType) -> None:
    @kit.dataclass(frozen=True, slots=True, kw_only=True)
    class Row:
        env: Mapping[str, str] = kit.field(default_factory=dict)
        name: str
        size: int = 3

    one, other = Row(name="a"), Row(name="a")

    assert (one.name, one.size, one.env) == ("a", 3, {})
    assert one.env is not other.env
    with pytest.raises(TypeError):
        Row("a")
    with pytest.raises(TypeError):
        Row()
    with pytest.raises(TypeError):
        Row(name="a", colour="b")


def test_fields_are_given_in_their_order(kit: types.ModuleType) -> None:
    @kit.dataclass(frozen=True, slots=True)
    class Row:
        name: str
        size: int = 3

    assert (Row("a", 4).name, Row("a", 4).size) == ("a", 4)
    assert Row.__match_args__ == ("name", "size")


def test_a_frozen_record_cannot_be_changed(kit: types.ModuleType) -> None:
    @kit.dataclass(frozen=True, slots=True, kw_only=True)
    class Row:
        name: str

    row = Row(name="a")

    for field in ("name", "other"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(row, field, "b")
    with pytest.raises((AttributeError, TypeError)):
        del row.name
    assert row.name == "a"


def test_a_record_that_is_not_frozen_changes_only_in_its_fields(kit: types.ModuleType) -> None:
    @kit.dataclass(slots=True)
    class Row:
        name: str

    row: Any = Row("a")
    row.name = "b"

    assert row == Row("b")
    with pytest.raises(AttributeError):
        row.colour = "red"
    with pytest.raises(TypeError):
        hash(row)


def test_records_are_equal_by_kind_and_content(kit: types.ModuleType) -> None:
    @kit.dataclass(frozen=True, slots=True, kw_only=True)
    class Row:
        name: str

    @kit.dataclass(frozen=True, slots=True, kw_only=True)
    class Other:
        name: str

    assert Row(name="a") == Row(name="a")
    assert hash(Row(name="a")) == hash(Row(name="a"))
    assert Row(name="a") != Row(name="b")
    assert Row(name="a") != Other(name="a")


def test_a_record_may_be_equal_to_itself_only(kit: types.ModuleType) -> None:
    @kit.dataclass(slots=True, eq=False, kw_only=True)
    class Row:
        name: str

    row = Row(name="a")

    assert row != Row(name="a")
    assert {row: 1}[row] == 1


def test_replacing_makes_another_and_refuses_what_is_no_field(kit: types.ModuleType) -> None:
    @kit.dataclass(frozen=True, slots=True, kw_only=True)
    class Row:
        name: str
        size: int = 3

    row = Row(name="a", size=4)

    assert kit.replace(row, name="b") == Row(name="b", size=4)
    assert row == Row(name="a", size=4)
    with pytest.raises(TypeError):
        kit.replace(row, colour="red")


def test_what_is_hidden_is_in_no_text(kit: types.ModuleType) -> None:
    @kit.dataclass(frozen=True, slots=True, kw_only=True)
    class Row:
        name: str
        env: Mapping[str, str] = kit.field(default_factory=dict, repr=False)
        value: str | None = kit.field(repr=False)
        size: int = 3

    row = Row(name="a", value="hush", env={"A": "hush"})

    assert repr(row).endswith("Row(name='a', size=3)")
    assert (row.value, row.env) == ("hush", {"A": "hush"})
    assert kit.replace(row, size=4).value == "hush"


def test_what_a_class_has_beside_fields_stays(kit: types.ModuleType) -> None:
    @kit.dataclass(frozen=True, slots=True, kw_only=True)
    class Row(Generic[T]):
        """A row."""

        limit: ClassVar[int] = 7
        inner: T

        @property
        def twice(self) -> tuple[T, T]:
            return (self.inner, self.inner)

        @classmethod
        def of(cls, inner: T) -> "Row[T]":
            return cls(inner=inner)

        def __str__(self) -> str:
            return f"row of {self.inner}"

    row: Row[int] = Row.of(5)

    assert (row.twice, row.limit, str(row), Row.__doc__) == ((5, 5), 7, "row of 5", "A row.")


def test_a_record_can_be_derived_from_one(kit: types.ModuleType) -> None:
    @kit.dataclass(frozen=True, slots=True, kw_only=True)
    class Row:
        size: int = 3

    @kit.dataclass(frozen=True, slots=True, kw_only=True)
    class Named(Row):
        name: str

    assert (Named(name="a").name, Named(name="a").size) == ("a", 3)
    with pytest.raises(AttributeError):
        Named(name="a").name = "b"


def test_a_record_can_be_copied_and_pickled() -> None:
    kept = _Kept(name="a")

    assert copy.copy(kept) == copy.deepcopy(kept) == pickle.loads(pickle.dumps(kept)) == kept


def test_fields_are_named_in_their_order() -> None:
    @records.dataclass(frozen=True, slots=True, kw_only=True)
    class Row:
        name: str
        size: int = 3

    assert records.field_names(Row) == records.field_names(Row(name="a")) == ("name", "size")


def test_a_record_derived_from_one_cannot_hide_a_field() -> None:
    @records.dataclass(frozen=True, slots=True, kw_only=True)
    class Row:
        size: int = 3

    with pytest.raises(TypeError, match="cannot hide a field of Named"):

        @records.dataclass(frozen=True, slots=True, kw_only=True)
        class Named(Row):
            name: str = records.field(default="", repr=False)


def test_a_record_without_slots_is_refused() -> None:
    with pytest.raises(TypeError, match="slots"):
        records.dataclass(slots=False)
