"""Which repository an address means, however it is written."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from paas.core import sources
from paas.core.errors import Invalid

FIELD = "repository_url"
OWNER_AND_NAME = 2
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_AS_SSH = re.compile(r"(?:[^@/:]+@)?([^@/:]+):(?!/)(.+)")  # git@host:owner/name.git
_USUAL_PORTS = {"http": 80, "https": 443, "ssh": 22, "git": 9418}


def check_url(text: str) -> str:
    """Return an address that may be fetched from. Raises Invalid.

    A token travels to where the address leads, so http is for this machine alone.
    """
    parts = urlsplit(sources.check_url(text, field=FIELD))
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise Invalid(
            f"cannot use {text} as a repository: it must be https",
            field=FIELD,
            hint="a token would be sent there in the clear",
        )
    if parts.query or parts.fragment or key_of(text) is None:
        raise Invalid(
            f"cannot use {text!a} as a repository: it does not end with OWNER/NAME",
            field=FIELD,
            hint="it looks like https://github.com/owner/name",
        )
    return text


def key_of(text: str) -> str | None:
    """Write an address as `host/owner/name` in lower case, so that equal repositories are equal text.

    Understands https, ssh and `git@host:owner/name.git`; None for what is no address.
    """
    as_ssh = _AS_SSH.fullmatch(text)
    parts = _split(f"ssh://{as_ssh[1]}/{as_ssh[2]}" if as_ssh and "://" not in text else text)
    if parts is None or not parts.hostname or parts.scheme not in _USUAL_PORTS:
        return None
    segments = _segments(parts)
    if len(segments) < OWNER_AND_NAME:
        return None
    usual = parts.port in (None, _USUAL_PORTS[parts.scheme])
    host = parts.hostname if usual else f"{parts.hostname}:{parts.port}"
    return "/".join([host, *segments]).lower()


def full_name(text: str) -> str:
    """Give the OWNER/NAME of a checked address."""
    return "/".join(_segments(urlsplit(text))[-OWNER_AND_NAME:])


def is_served_by(url: str, api_url: str) -> bool:
    """Say whether an API is that of a repository's host, and so may be sent the repository's token."""
    repository, api = urlsplit(url).hostname, urlsplit(api_url).hostname
    return repository is not None and api in (repository, f"api.{repository}")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(text: str) -> SplitResult | None:
    if _VISIBLE.fullmatch(text) is None:
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for one that is no number
    except ValueError:
        return None
    return parts


def _segments(parts: SplitResult) -> list[str]:
    return [part for part in parts.path.removesuffix("/").removesuffix(".git").split("/") if part]
