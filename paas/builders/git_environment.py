"""The whole environment of git: what it may know of this machine, its settings, and the token."""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult

from paas.core.errors import Invalid

USER = "x-access-token"  # the hosts that take tokens take any name, or this one
TOKEN = "PAAS_GIT_TOKEN"  # noqa: S105 - the variable's name
HELPER = f"""!f() {{ test "$1" = get && printf 'username={USER}\\npassword=%s\\n' "${TOKEN}"; }}; f"""
# Of the machine's settings only these count: how it trusts servers, and how it gets out.
INHERITED = (
    *("PATH", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"),
)
SETTINGS: Mapping[str, str] = {
    "core.hooksPath": os.devnull,
    "core.attributesFile": os.devnull,
    "core.fsmonitor": "false",
    "core.bigFileThreshold": "16m",  # what is larger is streamed
    "fetch.unpackLimit": "1",  # one file, which a limit on files bounds
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "transfer.bundleURI": "false",
}


def environment(repository: SplitResult, token: str | None, scratch: Path) -> Mapping[str, str]:
    """Make the whole environment of git: its settings are here and nowhere else."""
    settings = dict(SETTINGS)
    if token:
        # Asked only by this very server: a redirect to another one is never told.
        settings[f"credential.{repository.scheme}://{repository.netloc}.helper"] = HELPER
    numbered = {
        name: value
        for number, (key, text) in enumerate(settings.items())
        for name, value in ((f"GIT_CONFIG_KEY_{number}", key), (f"GIT_CONFIG_VALUE_{number}", text))
    }
    return {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        **numbered,
        **({TOKEN: token} if token else {}),
        "GIT_CONFIG_COUNT": str(len(settings)),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_DIR": str(scratch / "git"),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_ALLOW_PROTOCOL": "https" if repository.scheme == "https" else "http:https",
        "HOME": str(scratch),  # where libcurl looks for .netrc
        "LC_ALL": "C",
    }


def check_token(repository: SplitResult, token: str) -> None:
    """Raise Invalid for a token that may not go there, or cannot be one."""
    url = repository.geturl()
    if not _may_carry_token(repository):
        raise Invalid(
            f"cannot fetch {url}: the token would travel unencrypted", field="url", hint="use https"
        )
    if not token or not token.isascii() or not token.isprintable():
        raise Invalid(f"cannot fetch {url}: the token is empty or has odd characters", field="token")


def _may_carry_token(repository: SplitResult) -> bool:
    """Say whether a token may go there: encrypted, or to this machine."""
    host = repository.hostname or ""
    if repository.scheme == "https" or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
