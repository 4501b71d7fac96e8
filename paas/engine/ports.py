"""Free loopback ports for native tasks."""

import socket

from paas.core.errors import StartFailed

SPREAD = 7919  # prime: runs of the agent with neighbouring numbers begin far from each other


class PortPool:
    """Hands out ports in turn, so that one is not used again soon after its last task.

    `run` is a number of this run of the agent. The turn begins elsewhere in each run: after a restart
    ports are not used again soon either, and two agents of one machine seldom want the same one at once.
    """

    def __init__(self, first: int, last: int, *, run: int) -> None:
        self._first = first
        self._last = last
        self._next = first + run * SPREAD % (last - first + 1)
        self._taken: set[int] = set()

    def take(self, wanted: int | None) -> int:
        """Reserve the wanted port if it is free, else the next free one. Raises StartFailed."""
        if wanted is not None and self._reserve(wanted):
            return wanted
        for _ in range(self._first, self._last + 1):
            port = self._next
            self._next = self._first if port >= self._last else port + 1
            if self._reserve(port):
                return port
        raise StartFailed(f"no port from {self._first} to {self._last} is free")

    def note(self, port: int) -> None:
        """Remember a port in use by a task that was found running."""
        self._taken.add(port)

    def give_back(self, port: int) -> None:
        self._taken.discard(port)

    def _reserve(self, port: int) -> bool:
        if port in self._taken or not is_free(port):
            return False
        self._taken.add(port)
        return True


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether nobody listens on a port just now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    probe = socket.socket(family, socket.SOCK_STREAM)
    try:
        # As most servers do, so that connections of an earlier task in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
    except OSError:
        return False
    finally:
        probe.close()
    return True
