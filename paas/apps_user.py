"""Whom hosted apps and builds run as."""

import os
import pwd

from paas.config import BadConfig
from paas.core.records import dataclass

SHARED_USER_WARNING = (
    "hosted apps run as the agent's own user and could ask its API: run the agent as root to separate them"
)


@dataclass(frozen=True, slots=True)
class AppsUser:
    """A user of the apps' own, by its ids; without ids they share the agent's."""

    name: str
    ids: tuple[int, int] | None


def find_apps_user(name: str) -> AppsUser:
    """Find the user by name if the agent is root, else take the agent's own. Raises BadConfig."""
    if os.geteuid() != 0:
        return AppsUser(_own_name(), None)
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise BadConfig(
            f"cannot run apps as the user {name}: there is none",
            hint=f"useradd --system --no-create-home --shell /usr/sbin/nologin {name}",
        ) from None
    if entry.pw_uid == 0:
        raise BadConfig("cannot run apps as root: choose another tasks.user")
    return AppsUser(name, (entry.pw_uid, entry.pw_gid))


@dataclass(frozen=True, slots=True)
class BuildsUser:
    """A user of the builds' own; without ids they share the agent's, or `missing` says that none is there."""

    ids: tuple[int, int] | None
    missing: str | None = None


def find_builds_user(name: str) -> BuildsUser:
    """Find the user by name if the agent is root. Raises BadConfig for root itself.

    Where there is none the agent runs all the same: not everybody builds.
    """
    if os.geteuid() != 0:
        return BuildsUser(None)
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return BuildsUser(None, missing=f"cannot build as the user {name}: there is none")
    if entry.pw_uid == 0:
        raise BadConfig("cannot build as root: choose another builds.user")
    return BuildsUser((entry.pw_uid, entry.pw_gid))


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a user without an entry, as containers have them
        return str(os.geteuid())
