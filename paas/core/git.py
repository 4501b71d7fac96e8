"""What may be asked of a Git server: the address of a repository, and a name in it. Pure."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from paas.core.errors import Invalid

LONGEST_URL = 2048
LONGEST_REF = 512
# What `git check-ref-format` refuses; a first hyphen besides, which no command line should have to carry.
BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|[/.]$|/\.|\.lock(/|$)|^@$")
ABBREVIATED = re.compile(r"[0-9a-f]{4,39}")
FULL = re.compile(r"[0-9a-f]{40}")


def repository(url: str) -> SplitResult:
    """Take the address of a repository apart. Raises Invalid unless it is http or https, without a user."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Invalid(f"cannot fetch {url[:LONGEST_URL]!r}: {error}", field="url") from error
    if parts.scheme not in {"http", "https"} or not host or len(url) > LONGEST_URL or _is_odd(url, host):
        raise Invalid(
            f"cannot fetch {url[:LONGEST_URL]!r}: it is not the https address of a repository",
            field="url",
            hint="it looks like https://github.com/me/app.git",
        )
    if parts.username is not None or parts.password is not None:
        raise Invalid(
            "cannot fetch from an address with a user or password in it: it would be shown and kept",
            field="url",
            hint="leave them out, and give a token by itself",
        )
    return parts


def reference(text: str) -> str:
    """Check the name of a branch or tag, or the id of a commit. Raises Invalid."""
    if not text or len(text) > LONGEST_REF or BAD_REF.search(text):
        raise Invalid(
            f"cannot fetch {text[:LONGEST_REF]!r}: it is no branch, tag or commit",
            field="ref",
            hint="such as main, v1.2 or the id of a commit",
        )
    return text


def may_carry_token(repository: SplitResult) -> bool:
    """Say whether a token may go there: encrypted, or to this machine."""
    host = repository.hostname or ""
    if repository.scheme == "https" or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_odd(url: str, host: str) -> bool:
    return (
        not url.isprintable() or " " in url or re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+", host) is None
    )
