"""What the kernel knows of a client and the transports do not tell. Linux only."""

import asyncio
import socket
import struct
from enum import IntEnum

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, no time
_KEEPALIVE_SECS = 15


class TcpState(IntEnum):
    """The states that matter here (include/net/tcp_states.h)."""

    OTHER = 0
    CLOSE = 7  # it was reset
    CLOSE_WAIT = 8  # it has ended its side


def state(transport: asyncio.Transport) -> TcpState:
    """Ask the state, which no event tells while nothing is read or written."""
    number = _socket(transport).getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return TcpState(number) if number in (TcpState.CLOSE, TcpState.CLOSE_WAIT) else TcpState.OTHER


def watch(transport: asyncio.Transport) -> None:
    """Let the kernel find out, within minutes, whether the peer is still there."""
    connection = _socket(transport)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_SECS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_SECS)


def reset(transport: asyncio.Transport) -> None:
    """Close with a reset, which no peer takes for the end of a body."""
    if not transport.is_closing():
        _socket(transport).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()


def _socket(transport: asyncio.Transport) -> socket.socket:
    found: socket.socket = transport.get_extra_info("socket")
    return found
