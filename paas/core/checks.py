"""What has to be right on a machine, as found."""

from paas.core.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at: what was found, and what mends it: a command, or a sentence where none can."""

    name: str
    ok: bool
    detail: str
    fix: str | None = None
