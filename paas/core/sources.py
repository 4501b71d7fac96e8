"""What may be named as a source: the URL of a repository, what of it, and a folder inside. Pure."""

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from paas.core.errors import Invalid

LONGEST_URL = 2048
LONGEST_REF = 255
LONGEST_PATH = 1024
SCHEMES = ("https", "http")

# What git-check-ref-format(1) refuses, and a dash in front, which a command would take for an option.
_BAD_REF = re.compile(r"^[-/]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/$|\.$|\.lock$|^@$|(^|/)\.|\.lock/")
_BAD_URL = re.compile(r"[\x00-\x20\x7f]")


def check_url(url: str, *, field: str = "url") -> str:
    """Give the URL of a repository back. Raises Invalid for what cannot be fetched or holds a password."""
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        has_host = False
    if len(url) > LONGEST_URL or _BAD_URL.search(url) or not has_host or parts.scheme not in SCHEMES:
        raise Invalid(
            f"cannot fetch {_shown(url)}: it is not the http or https URL of a repository",
            field=field,
            hint="write it such as https://github.com/me/app.git",
        )
    if parts.username is not None or parts.password is not None:
        raise Invalid(
            f"cannot fetch from {parts.hostname}: the URL holds a name or a password, which would be shown",
            field=field,
            hint="set the token of the app's source config instead",
        )
    return url


def check_ref(ref: str, *, field: str = "ref") -> str:
    """Give the name of a branch or tag, or the id of a commit, back. Raises Invalid."""
    if not ref or len(ref) > LONGEST_REF or _BAD_REF.search(ref):
        raise Invalid(f"cannot fetch {ref[:80]!a}: it is no branch, tag or commit", field=field)
    return ref


def check_path(path: str, *, field: str = "path") -> str:
    """Give the path of a folder inside a source, tidied; empty for its root. Raises Invalid."""
    parsed = PurePosixPath(path)
    if parsed.is_absolute() or ".." in parsed.parts or "\0" in path or len(path) > LONGEST_PATH:
        raise Invalid(f"cannot build {path[:80]!a}: it is not a path inside the source", field=field)
    return "" if parsed == PurePosixPath() else str(parsed)


def _shown(url: str) -> str:
    """Show a URL that is no good, without a password that may be in it."""
    return ascii(re.sub(r"//[^/@]*@", "//***@", url[:200]))
