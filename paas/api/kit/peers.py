"""Whose socket is at the other end of a local TCP connection.

The kernel tells by an exact query; where that is not to be had, the tables in /proc are read
instead, which takes time with their length.
"""

import struct
from pathlib import Path

from paas import sock_diag
from paas.core.records import dataclass
from paas.sock_diag import Address, Endpoint

IPV6 = 6
_PROC_PORT, _PROC_UID, _PROC_INODE = 1, 7, 9


@dataclass(frozen=True, slots=True)
class Owner:
    uid: int
    held: bool  # some process has the socket open; of a closed one the kernel forgets the user


def owner_of(peer: Endpoint, own: Endpoint) -> Owner | None:
    """Find who owns the socket that is bound to `peer` and connected to `own`; None if there is none."""
    try:
        found = sock_diag.find(peer, own)
    except OSError:
        return search_tables(peer, own)
    return None if found is None else Owner(found.uid, held=found.inode != 0)


def search_tables(peer: Endpoint, own: Endpoint) -> Owner | None:
    """Find the same in /proc."""
    here, there = sock_diag.address(peer[0]), sock_diag.address(own[0])
    for table, wide in (("tcp", False), ("tcp6", True)):
        if here.version == IPV6 and not wide:
            continue
        wanted = [
            f"{_in_table(here, wide=wide)}:{peer[1]:04X}",
            f"{_in_table(there, wide=wide)}:{own[1]:04X}",
        ]
        for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
            columns = line.split()
            if columns[_PROC_PORT : _PROC_PORT + 2] == wanted:
                return Owner(int(columns[_PROC_UID]), held=columns[_PROC_INODE] != "0")
    return None


def is_loopback(address: str) -> bool:
    try:
        return sock_diag.address(address).is_loopback
    except ValueError:
        return False


def _in_table(address: Address, *, wide: bool) -> str:
    packed = address.packed
    if wide and address.version != IPV6:
        packed = b"\0" * 10 + b"\xff\xff" + packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words)
