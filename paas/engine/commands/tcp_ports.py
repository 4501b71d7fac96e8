"""Which port of the proxy's an app has that does not speak HTTP: wanted, or assigned once and kept."""

from collections.abc import Callable

from paas.core.errors import Conflict, Invalid
from paas.core.model import App
from paas.core.records import dataclass
from paas.core.spec import Networking
from paas.store import apps, tcp_ports
from paas.store.database import Tx

FIELD = "networking.proxy_port"


def _is_free(port: int) -> bool:
    del port
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpPortRange:
    """The ports that apps may have. `is_free` says whether another program has one just now."""

    first: int = 47100
    last: int = 47199
    is_free: Callable[[int], bool] = _is_free

    async def claim(self, tx: Tx, app: App, environment: str, networking: Networking, *, now: float) -> None:
        """See to it that an app's environment has the port it wants, or any, if it is to be reached by one.

        Raises Invalid for a port out of range, Conflict for one that another has, or if all are taken.
        """
        if networking.protocol != "tcp":
            return
        held = await tcp_ports.holders(tx)
        own = next((port for port, holder in held.items() if holder == (app.id, environment)), None)
        wanted = networking.proxy_port
        if wanted is None:
            if own is None:
                await tcp_ports.assign(tx, app.id, environment, self._any(app, frozenset(held)), now=now)
            return
        if wanted == own:
            return
        if not self.first <= wanted <= self.last:
            raise Invalid(
                f"cannot give {app.name} the port {wanted}: apps have ports from {self.first} to {self.last}",
                field=FIELD,
                hint="leave it out to be given one, or change proxy.tcp_first_port and proxy.tcp_last_port",
            )
        if wanted in held:
            holder = await apps.get(tx, held[wanted][0])
            raise Conflict(
                f"cannot give {app.name} the port {wanted}:"
                f" {holder.name if holder else 'another app'} has it in {held[wanted][1]}",
                code="PORT_TAKEN",
                field=FIELD,
                hint="choose another, or leave it out to be given one",
            )
        await tcp_ports.assign(tx, app.id, environment, wanted, now=now)

    def _any(self, app: App, held: frozenset[int]) -> int:
        spare = (port for port in range(self.first, self.last + 1) if port not in held)
        port = next((port for port in spare if self.is_free(port)), None)
        if port is None:
            raise Conflict(
                f"cannot give {app.name} a port: all from {self.first} to {self.last} are taken",
                code="NO_PORT_FREE",
                field=FIELD,
                hint="delete an app, or change proxy.tcp_last_port",
            )
        return port
