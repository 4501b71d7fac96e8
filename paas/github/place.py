"""Where something is told, and what may come of it; apart from what tells it, which is loaded when needed."""

from paas.core.errors import Unavailable
from paas.core.records import dataclass


class Later(Unavailable):
    """GitHub wants to be asked less often: not again before `after_secs`."""

    def __init__(self, message: str, *, after_secs: float) -> None:
        super().__init__(message)
        self.after_secs = after_secs


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A repository, and what lets us write there."""

    full_name: str  # OWNER/NAME
    token: str

    def __repr__(self) -> str:
        return f"Place({self.full_name!r})"
