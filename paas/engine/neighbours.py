"""What a task is told of the other apps of its namespace: `PAAS_<APP>_URL`, which reaches and wakes them."""

import ipaddress
import logging
import re
from collections.abc import Mapping

from paas.core.model import App
from paas.core.ports import Driver
from paas.core.records import dataclass, field
from paas.store import neighbours
from paas.store.database import Database
from paas.store.neighbours import Neighbour

logger = logging.getLogger(__name__)

# Events after which a namespace may have other apps, or an app another address.
CHANGES = frozenset(
    {"app.created", "app.deleted", "app.port_assigned", "environment.deleted"}
    | {"deployment.queued", "deployment.changed", "deployment.active"}
)


@dataclass(slots=True, kw_only=True)
class ProxyPlace:
    """Where the proxy listens, or will."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: not known yet

    def seen_from(self, host_address: str, *, own_network: bool) -> str | None:
        """Give the address of the proxy for tasks that see this machine at `host_address`; None: none."""
        try:
            listening = ipaddress.ip_address(self.host)
        except ValueError:
            return None if own_network else self.host  # such as localhost
        if listening.is_unspecified:
            return host_address
        return None if own_network and listening.is_loopback else self.host


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Variables, and the addresses of host names that tasks with a network of their own could not find."""

    env: Mapping[str, str] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)


_NOTHING = Surroundings()


class Neighbours:
    """Remembers the apps of a namespace until one of them changes, so that a wake need not read them."""

    def __init__(self, database: Database, place: ProxyPlace, domain: str) -> None:
        self._database = database
        self._place = place
        self._domain = domain
        self._known: dict[tuple[str, str], tuple[Neighbour, ...]] = {}
        self._changes = 0
        self._told = False
        database.after_commit.append(self._forget)

    async def around(self, app: App, environment: str, driver: Driver) -> Surroundings:
        """Say what a task of an app is told. Raises Unavailable while its driver cannot know its network."""
        others = [each for each in await self._apps(app.namespace, environment) if each.app_id != app.id]
        if not others:
            return _NOTHING
        own_network = driver.own_network
        address = self._place.seen_from(await driver.host_address(), own_network=own_network)
        if address is None:
            self._tell()
            return _NOTHING
        env: dict[str, str] = {}
        hosts: dict[str, str] = {}
        for each in others:
            url = self._url(each, address)
            if url is not None:
                env[_variable(each.name)] = url
            if own_network:
                hosts |= dict.fromkeys(
                    (f"{label}.{self._domain}" for label in (each.subdomain, each.label)), address
                )
        return Surroundings(env=env, hosts=hosts)

    async def _apps(self, namespace: str, environment: str) -> tuple[Neighbour, ...]:
        known = self._known.get((namespace, environment))
        if known is None:
            changes = self._changes
            known = await neighbours.of_namespace(self._database.reader, namespace, environment)
            if changes == self._changes:
                self._known[namespace, environment] = known
        return known

    def _url(self, app: Neighbour, address: str) -> str | None:
        if app.tcp_port is not None:
            return f"tcp://{_in_url(address)}:{app.tcp_port}"
        if not self._place.port:
            return None
        return f"http://{app.label}.{self._domain}:{self._place.port}"

    def _forget(self, touched: frozenset[str]) -> None:
        if not CHANGES.isdisjoint(touched):
            self._changes += 1
            self._known.clear()

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            logger.warning(
                "Containers cannot reach other apps: the proxy listens on %s only; set proxy.listen to"
                " 0.0.0.0:PORT, or to an address of this machine that they reach",
                self._place.host,
                extra={"event": "proxy.unreachable"},
            )


def _variable(name: str) -> str:
    return f"PAAS_{re.sub(r'[^A-Z0-9]', '_', name.upper())}_URL"


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
