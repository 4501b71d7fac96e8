"""Ask the kernel about one TCP socket of this machine (linux/inet_diag.h, an exact look-up)."""

import errno
import ipaddress
import os
import socket
import struct
from functools import lru_cache

from paas.core.records import dataclass

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLMSG_ERROR = 2
NLM_F_REQUEST = 1
ANSWER_BYTES = 4096
ALL_STATES = 0xFFFFFFFF
INET_DIAG_CGROUP_ID = 21
NO_INTERFACE = b"\0" * 4
NO_COOKIE = b"\xff" * 8
NOBODY = ("0.0.0.0", 0)  # noqa: S104 - the far end of a socket that listens

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
_REQUEST = struct.Struct("=BBBxI")  # family, protocol, extensions, states
_SOCKET = struct.Struct("!HH16s16s")  # ports and addresses, in network order
_ANSWER = struct.Struct("=4x48x12xII")  # uid and inode of struct inet_diag_msg
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_VALUE = struct.Struct("=Q")
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Endpoint = tuple[str, int]  # address and port


@dataclass(frozen=True, slots=True)
class TcpSocket:
    uid: int
    inode: int  # 0: no process has it open any more
    cgroup_id: int | None  # inode of the control group it was made in; None before Linux 5.9


class SocketTable:
    """The kernel's table of sockets, asked through one socket that stays open. For one thread."""

    def __init__(self) -> None:
        self._kernel: socket.socket | None = None
        self._asked = 0

    def find(self, local: Endpoint, remote: Endpoint = NOBODY) -> TcpSocket | None:
        """Find the socket that is bound to `local` and connected to `remote`, or listens at `local`.

        Takes about 20 us. None if there is none; raises OSError where the kernel does not tell.
        """
        (family, here), (_, there) = _packed(local[0]), _packed(remote[0])
        body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, ALL_STATES)
        body += _SOCKET.pack(local[1], remote[1], here, there) + NO_INTERFACE + NO_COOKIE
        answer = self._ask(body)
        kind = _HEADER.unpack_from(answer)[1]
        if kind == NLMSG_ERROR:
            error = -struct.unpack_from("=i", answer, _HEADER.size)[0]
            if error == errno.ENOENT:
                return None
            raise OSError(error, os.strerror(error))
        uid, inode = _ANSWER.unpack_from(answer, _HEADER.size)
        return TcpSocket(uid, inode, _attribute(answer, INET_DIAG_CGROUP_ID))

    def close(self) -> None:
        """Free the socket; the next question opens another."""
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None

    def _ask(self, body: bytes) -> bytes:
        if self._kernel is None:
            kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
            self._kernel = socket.socket(socket.AF_NETLINK, kind, NETLINK_SOCK_DIAG)
            self._kernel.settimeout(1)  # it answers at once, in the call itself
        self._asked = (self._asked + 1) & 0xFFFFFFFF
        head = _HEADER.pack(_HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, self._asked, 0)
        try:
            self._kernel.sendto(head + body, (0, 0))
            return self._kernel.recv(ANSWER_BYTES)
        except OSError:
            self.close()  # else a late answer would be taken for that of the next question
            raise


def find(local: Endpoint, remote: Endpoint = NOBODY) -> TcpSocket | None:
    """Find one socket, as `SocketTable.find` does, for whoever asks seldom or in threads."""
    table = SocketTable()
    try:
        return table.find(local, remote)
    finally:
        table.close()


def _attribute(answer: bytes, wanted: int) -> int | None:
    """Read one 64-bit attribute behind struct inet_diag_msg."""
    position = _HEADER.size + _ANSWER.size
    while position + _ATTRIBUTE.size <= len(answer):
        length, kind = _ATTRIBUTE.unpack_from(answer, position)
        if kind == wanted and length == _ATTRIBUTE.size + _VALUE.size:
            return int(_VALUE.unpack_from(answer, position + _ATTRIBUTE.size)[0])
        position += max(length + 3 & ~3, _ATTRIBUTE.size)
    return None


@lru_cache(maxsize=64)  # mostly of loopback, and every wake asks
def _packed(text: str) -> tuple[int, bytes]:
    """Give the family of an address, and its bytes as the kernel wants them."""
    found = address(text)
    return _FAMILIES[found.version], found.packed.ljust(16, b"\0")


def address(text: str) -> Address:
    """Read an address; one of IPv4 that an IPv6 listener saw is one of IPv4."""
    found = ipaddress.ip_address(text.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
