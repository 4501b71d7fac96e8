"""Whose socket is at the other end of a local TCP connection.

The kernel tells by an exact sock_diag query (linux/inet_diag.h); where netlink is not to be
had, the tables in /proc are read instead, which takes time with their length.
"""

import errno
import ipaddress
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLMSG_ERROR = 2
NLM_F_REQUEST = 1
ANSWER_BYTES = 4096
ALL_STATES = 0xFFFFFFFF
NO_COOKIE = b"\xff" * 8

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
_REQUEST = struct.Struct("=BBBxI")  # family, protocol, extensions, states
_SOCKET = struct.Struct("!HH16s16s")  # ports and addresses, in network order
_ANSWER = struct.Struct("=4x48x12xII")  # uid and inode of struct inet_diag_msg
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
IPV6 = 6
_PROC_PORT, _PROC_UID, _PROC_INODE = 1, 7, 9

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Endpoint = tuple[str, int]  # address and port


@dataclass(frozen=True, slots=True)
class Owner:
    uid: int
    held: bool  # some process has the socket open; of a closed one the kernel forgets the user


def owner_of(peer: Endpoint, own: Endpoint) -> Owner | None:
    """Find who owns the socket that is bound to `peer` and connected to `own`; None if there is none."""
    try:
        return ask_kernel(peer, own)
    except OSError:
        return search_tables(peer, own)


def ask_kernel(peer: Endpoint, own: Endpoint) -> Owner | None:
    """Find it by sock_diag. Raises OSError where that is not to be had."""
    here, there = _address(peer[0]), _address(own[0])
    addresses = here.packed.ljust(16, b"\0"), there.packed.ljust(16, b"\0")
    body = _REQUEST.pack(_FAMILIES[here.version], socket.IPPROTO_TCP, 0, ALL_STATES)
    body += _SOCKET.pack(peer[1], own[1], *addresses) + struct.pack("=I", 0) + NO_COOKIE
    head = _HEADER.pack(_HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(1)  # it answers at once, in the call itself
        kernel.sendto(head + body, (0, 0))
        answer = kernel.recv(ANSWER_BYTES)
    kind = _HEADER.unpack_from(answer)[1]
    if kind == NLMSG_ERROR:
        error = -struct.unpack_from("=i", answer, _HEADER.size)[0]
        if error == errno.ENOENT:
            return None
        raise OSError(error, os.strerror(error))
    uid, inode = _ANSWER.unpack_from(answer, _HEADER.size)
    return Owner(uid, held=inode != 0)


def search_tables(peer: Endpoint, own: Endpoint) -> Owner | None:
    """Find the same in /proc."""
    here, there = _address(peer[0]), _address(own[0])
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
        return _address(address).is_loopback
    except ValueError:
        return False


def _address(text: str) -> Address:
    """Read an address; one of IPv4 that an IPv6 listener saw is one of IPv4."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _in_table(address: Address, *, wide: bool) -> str:
    packed = address.packed
    if wide and address.version != IPV6:
        packed = b"\0" * 10 + b"\xff\xff" + packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words)
