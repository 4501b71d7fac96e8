"""Windows over lists: offset pages for most, a version cursor for one app's deployments."""

from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")

PageNumber = Annotated[int, Meta(ge=1, le=1_000_000, description="1 is the first page")]
PageSize = Annotated[int, Meta(ge=1, le=100, description="1 to 100 items")]
SortOrder = Literal["asc", "desc"]


class PageParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    page: PageNumber = 1
    page_size: PageSize = 20

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.page_size


class Page(msgspec.Struct, Generic[T], kw_only=True):
    """A window of a list, and how long the whole is."""

    data: list[T]
    total: int
    page: int
    page_size: int
