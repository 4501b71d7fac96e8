"""What an owner should know of the machine and the agent on it, and the command that mends what is wrong."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Mapping
from pathlib import Path

from paas.apps_user import AppsUser, BuildsUser
from paas.core.checks import Check
from paas.core.errors import PaasError

LOW_DISK_BYTES = 100 * 1024**2
CONNECT_SECS = 2.0
_INSTALL = "run the agent as root: sudo ./install.sh install"


def check_disk(folder: Path) -> Check:
    """Look whether there is room for state, logs and unpacked programs."""
    free = shutil.disk_usage(folder).free
    detail = f"{free // 1024**2} MiB are free in {folder}"
    if free < LOW_DISK_BYTES:
        return Check(name="disk", ok=False, detail=f"only {detail}", fix=f"du -xh {folder} | sort -h | tail")
    return Check(name="disk", ok=True, detail=detail)


def check_limits(in_force: Mapping[str, str]) -> Check:
    """Look whether native apps are kept to their memory, CPU and number of processes."""
    name = "limits of native apps"
    missing = [f"{what} by {how}" for what, how in in_force.items() if how != "cgroup v2"]
    if not missing:
        return Check(name=name, ok=True, detail="memory, CPU and processes by cgroup v2")
    fix = _INSTALL
    if os.geteuid() == 0:
        fix = "run it as paas.service; start the kernel with systemd.unified_cgroup_hierarchy=1 for cgroup v2"
    return Check(name=name, ok=False, detail=", ".join(missing), fix=fix)


def check_user(user: AppsUser) -> Check:
    """Look whether native apps run as somebody who may not touch the agent."""
    name = "user of native apps"
    if user.ids is None:
        detail = f"they run as {user.name}, as the agent does, and could use its API"
        return Check(name=name, ok=False, detail=detail, fix=_INSTALL)
    return Check(name=name, ok=True, detail=user.name)


def check_git() -> Check:
    """Look whether apps can be fetched from Git servers; whoever uploads them needs no git."""
    name = "git"
    found = shutil.which("git")
    if found is None:
        detail = "not installed: no app can be fetched from a Git server"
        return Check(name=name, ok=True, detail=detail, fix="apt-get install -y git")
    return Check(name=name, ok=True, detail=found)


def check_builds(user: BuildsUser) -> Check:
    """Look whether native builds are kept apart; nothing is wrong where nobody builds."""
    name = "native builds"
    if user.missing is not None:
        return Check(name=name, ok=True, detail=user.missing, fix=_INSTALL)
    whose = "as the agent does" if user.ids is None else f"as user id {user.ids[0]}"
    if shutil.which("bwrap") is None:
        detail = f"they run {whose}, and without bubblewrap can read what all users of the machine can"
        return Check(name=name, ok=True, detail=detail, fix="apt-get install -y bubblewrap")
    return Check(name=name, ok=True, detail=f"they run {whose}, with bubblewrap")


async def check_proxy_reach(find_gateway: Awaitable[str], proxy_host: str, proxy_port: int) -> Check:
    """Look whether containers find the proxy at the gateway, where they see this machine."""
    name = "proxy for containers"
    try:
        gateway = await find_gateway
    except PaasError as error:
        return Check(name=name, ok=False, detail=error.message, fix=error.hint)
    try:
        async with asyncio.timeout(CONNECT_SECS):
            _, writer = await asyncio.open_connection(gateway, proxy_port)
        writer.transport.abort()
    except (OSError, TimeoutError) as error:
        cause = getattr(error, "strerror", None) or type(error).__name__
        detail = f"they cannot reach it at {gateway}:{proxy_port}, it listens at {proxy_host}: {cause}"
        fix = f'set proxy.listen = "0.0.0.0:{proxy_port}" in the configuration, then start the agent again'
        return Check(name=name, ok=False, detail=detail, fix=fix)
    return Check(name=name, ok=True, detail=f"reached at {gateway}:{proxy_port}")
