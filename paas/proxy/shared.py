"""What every connection of one proxy shares."""

import asyncio

from paas.core.ids import AppId, DeploymentId
from paas.core.ports import Clock
from paas.core.records import dataclass, field
from paas.proxy.limits import ProxyLimits
from paas.proxy.pool import Pool
from paas.proxy.tunnel import Tunnel
from paas.router import Router
from paas.routes import Entry


class WaitingRoom:
    """Bounds how many requests wait for a wake, and what they hold in memory."""

    __slots__ = ("_limits", "bytes", "count")

    def __init__(self, limits: ProxyLimits) -> None:
        self._limits = limits
        self.count = 0
        self.bytes = 0

    def enter(self, entry: Entry, size: int) -> bool:
        """Take a place, if there is one; each must be left."""
        limits = self._limits
        if (
            len(entry.waiters or ()) >= limits.waiting_per_deployment
            or self.count >= limits.waiting_total
            or self.bytes + size > limits.waiting_bytes
        ):
            return False
        self.count += 1
        self.bytes += size
        return True

    def leave(self, size: int) -> None:
        self.count -= 1
        self.bytes -= size


@dataclass(slots=True, kw_only=True)
class Shared:
    router: Router
    clock: Clock
    limits: ProxyLimits
    pool: Pool
    room: WaitingRoom
    now: float = 0.0  # monotonic seconds, as coarse as the sweep that sets it
    draining: bool = False  # answers end their connections
    # Stands for all hosts that lead to no deployment, and for what is no request.
    nowhere: Entry = field(default_factory=lambda: Entry(DeploymentId(""), AppId("")))
    tunnels: set[Tunnel] = field(default_factory=set)
    left: asyncio.Event = field(default_factory=asyncio.Event)  # set when a client or a tunnel has gone

    def forget_tunnel(self, tunnel: Tunnel) -> None:
        self.tunnels.discard(tunnel)
        self.left.set()
