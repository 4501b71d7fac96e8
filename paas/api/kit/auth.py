"""Who may ask at all, while there are no accounts: programs of this machine, no web pages."""

import re

from aiohttp import hdrs, web

from paas.api.kit import peers
from paas.api.kit.errors import Handler
from paas.core.errors import Forbidden
from paas.core.records import dataclass

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
FOREIGN_SITES = frozenset({"cross-site", "same-site"})

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+?)\.?)(?::[0-9]{0,5})?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(.+)")


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuses rebound names, browsers on foreign pages, other machines and hosted apps."""

    hosts: frozenset[str]  # names and addresses of ours, without port
    blocked_uids: frozenset[int]  # of hosted apps and of builds

    def check(self, request: web.Request) -> None:
        """Raise Forbidden unless the request may be served."""
        self._check_peer(request)
        self._check_host(request)
        self._check_origin(request)

    def _check_host(self, request: web.Request) -> None:
        given = request.headers.getall(hdrs.HOST, [])
        if len(given) != 1 or _host_of(given[0]) not in self.hosts:
            raise Forbidden(
                f"cannot serve host {', '.join(given)!a}: it is not a name of this agent",
                code="HOST_NOT_ALLOWED",
                hint="ask localhost, or add the name to the configuration",
            )

    def _check_origin(self, request: web.Request) -> None:
        origins = request.headers.getall(hdrs.ORIGIN, [])
        foreign = [origin for origin in origins if not self._is_ours(origin)]
        if foreign or request.headers.get("Sec-Fetch-Site", "").lower() in FOREIGN_SITES:
            raise Forbidden(
                f"cannot serve a page of another origin ({', '.join(foreign)!a})"
                if foreign
                else "cannot serve a page of another site",
                code="CROSS_ORIGIN",
                hint="use the command line, or a page that this agent serves",
            )

    def _is_ours(self, origin: str) -> bool:
        match = _ORIGIN.fullmatch(origin.lower())
        return match is not None and _host_of(match[1]) in self.hosts

    def _check_peer(self, request: web.Request) -> None:
        transport = request.transport
        peer = transport.get_extra_info("peername") if transport is not None else None
        own = transport.get_extra_info("sockname") if transport is not None else None
        if not peer or not own or not peers.is_loopback(peer[0]):
            raise Forbidden("cannot serve callers from other machines", code="NOT_LOOPBACK")
        if not self.blocked_uids:
            return
        # Asked anew for each request: it takes microseconds, and a socket may change hands.
        owner = peers.owner_of(peer[:2], own[:2])
        if owner is None or not owner.held:
            raise Forbidden(
                "cannot serve a caller who has left: nobody knows who asked", code="CALLER_UNKNOWN"
            )
        if owner.uid in self.blocked_uids:
            raise Forbidden("cannot serve hosted apps and builds", code="CALLER_IS_AN_APP")


GUARD = web.AppKey("guard", Guard)


@web.middleware
async def refuse_strangers(request: web.Request, handler: Handler) -> web.StreamResponse:
    request.app[GUARD].check(request)
    return await handler(request)


def _host_of(text: str) -> str | None:
    match = _HOST.fullmatch(text.strip().lower())
    return None if match is None else match[1] or match[2]
