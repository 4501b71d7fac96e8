"""Kubernetes' notations of CPU and memory, read as numbers."""

import re
from functools import lru_cache

from paas.core.errors import Invalid

LEAST_CPU_MILLIS = 1
MOST_CPU_MILLIS = 1_024_000
LEAST_MEMORY_BYTES = 1024**2
MOST_MEMORY_BYTES = 2**50

_CPU = re.compile(r"([0-9]{1,9})(m)?|([0-9]{1,6})\.([0-9]{1,3})")
_MEMORY = re.compile(r"([0-9]{1,18})(Ki|Mi|Gi|Ti|k|M|G|T)?")
_UNITS = {
    None: 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


@lru_cache(maxsize=256)  # apps say a few amounts over and over, and every wake asks
def cpu_millis(text: str) -> int:
    """Read a share of processors, "100m", "0.5" or "2", as thousandths of one. Raises Invalid."""
    match = _CPU.fullmatch(text)
    if match is None:
        raise _unreadable("cpu", text, 'write "100m" for a tenth of a core, or cores as "0.5" or "2"')
    whole, milli, cores, fraction = match.groups()
    if cores is not None:
        millis = int(cores) * 1000 + int(fraction.ljust(3, "0"))
    else:
        millis = int(whole) if milli else int(whole) * 1000
    if not LEAST_CPU_MILLIS <= millis <= MOST_CPU_MILLIS:
        raise _unreadable("cpu", text, f"give {LEAST_CPU_MILLIS}m to {MOST_CPU_MILLIS // 1000} cores")
    return millis


@lru_cache(maxsize=256)
def memory_bytes(text: str) -> int:
    """Read an amount of memory, "128Mi", "1Gi" or "134217728", as bytes. Raises Invalid."""
    match = _MEMORY.fullmatch(text)
    if match is None:
        raise _unreadable("memory", text, 'write "128Mi", "1Gi", or a number of bytes')
    size = int(match[1]) * _UNITS[match[2]]
    if not LEAST_MEMORY_BYTES <= size <= MOST_MEMORY_BYTES:
        raise _unreadable("memory", text, "give 1Mi to 1024Ti")
    return size


def _unreadable(what: str, text: str, hint: str) -> Invalid:
    return Invalid(
        f"cannot accept the {what} limit {text!r}: it is not an amount we can use",
        field=f"resources.{what}",
        hint=hint,
    )
