"""What a test needs of the machine, and what happens where it is missing."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

# Set by CI: what is missing is a failure there, never a skip.
STRICT = bool(os.environ.get("PAAS_TEST_STRICT"))
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"  # where servers are, and not on everybody's PATH
PACKAGES: Mapping[str, str] = {
    "bwrap": "bubblewrap",
    "busybox": "busybox-static",
    "docker": "docker.io",
    "dockerd": "docker.io",
    "htpasswd": "apache2-utils",
    "nginx": "nginx-light",
    "ps": "procps",
    "redis-cli": "redis-tools",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}


def require(command: str) -> Path:
    """Find a program that is not ours, else leave the calling test out.

    Put its Debian package into `test_packages` of install.sh, and into PACKAGES if it is called otherwise.
    """
    path = f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_FOLDERS}"
    found = shutil.which(command, path=path)
    if found is None:
        leave_out(f"needs {command} (Debian package {PACKAGES.get(command, command)})")
    return Path(found)


def require_root() -> None:
    """Leave the calling test out where we are not root."""
    if os.geteuid() != 0:
        leave_out("needs root")


def leave_out(reason: str) -> NoReturn:
    """Skip the calling test; a failure where leaving out is forbidden."""
    if STRICT:
        pytest.fail(f"left out, which PAAS_TEST_STRICT forbids: {reason}", pytrace=False)
    pytest.skip(reason)
