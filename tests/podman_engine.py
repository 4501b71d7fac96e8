"""A real Podman service for tests, which touches nothing of the machine's own Podman."""

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from paas.drivers.docker_network import PASSING, TRIES
from tests.docker_engine import START_SECS, answers, ask, ask_json
from tests.requirements import leave_out, require, require_root

# Limits that root may set without CAP_SYS_RESOURCE, and locks in files: those in shared memory are one set
# for all services, and freed by each that starts. crun refuses machines that have both versions of cgroups.
SETTINGS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
[network]
network_backend = "netavark"
default_subnet_pools = [{{base = "10.{}.{}.0/20", size = 24}}]
"""
STORAGE = """
[storage]
driver = "overlay"
graphroot = "{0}/data"
runroot = "{0}/run"
"""
# These two folders cannot be set. In a mount namespace of its own the service has its own, and whatever is
# mounted there is gone with it.
ALONE = """
set -e
mkdir -p "$0/containers" "$0/netns" /run/containers /run/netns
mount --bind "$0/containers" /run/containers
mount --bind "$0/netns" /run/netns
exec "$@"
"""
NEEDED = ("podman", "runc", "conmon", "iptables", "unshare")


@contextlib.contextmanager
def podman_service() -> Iterator[Path]:
    """Run a service and give its socket; nothing of it is left afterwards. Where it cannot run, leave out.

    Workers of a test run do not share one: asked for a list, it waits for each container that is being
    started or stopped, for longer than an agent that begins is patient.
    """
    require_root()
    for program in NEEDED:
        require(program)
    with tempfile.TemporaryDirectory(prefix="pm-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        service = _start(folder)
        path = folder / "podman.sock"
        try:
            _await(path, service)
            yield path
        finally:
            if answers(path):
                _remove_containers(path)
            service.terminate()
            service.wait(START_SECS)


def _start(folder: Path) -> subprocess.Popen[bytes]:
    # Services that run at the same time must not give away the same addresses.
    number = os.getpid() % 2048
    pool = (128 + number // 16, number % 16 * 16)
    (folder / "containers.conf").write_text(SETTINGS.format(*pool))
    (folder / "storage.conf").write_text(STORAGE.format(folder))
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [
                *(
                    "unshare",
                    "--mount",
                    "--propagation=private",
                    "sh",
                    "-c",
                    ALONE,
                    folder,
                    require("podman"),
                ),
                *(f"--root={folder}/data", f"--runroot={folder}/run", f"--tmpdir={folder}/tmp"),
                f"--network-config-dir={folder}/networks",
                *("system", "service", "--time=0", f"unix://{folder}/podman.sock"),
            ],
            env={
                **os.environ,
                "CONTAINERS_CONF": f"{folder}/containers.conf",
                "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
            },
            cwd=folder,  # a container's end for lack of memory leaves an empty file there
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _await(path: Path, service: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECS
    while not answers(path):
        if service.poll() is not None or time.monotonic() > deadline:
            last = path.with_name("log").read_text(errors="replace").splitlines()[-1:]
            leave_out(f"needs a Podman service, and none starts here: {last}")
        time.sleep(0.02)


def _remove_containers(path: Path) -> None:
    for each in ask_json(path, "GET", "/containers/json?all=1"):
        with contextlib.suppress(ValueError):
            ask(path, "DELETE", f"/containers/{each['Id']}?force=1&v=1")


def make_network(path: Path, agent_id: str) -> None:
    """Make an agent's network, as the agent would, with a bridge that has no name of Podman's own.

    Each service counts podman1, podman2 and so on by itself, and takes a bridge that is there for its own.
    """
    body = {
        "Name": f"paas-{agent_id[:12]}",
        "Driver": "bridge",
        "Labels": {"paas.agent": agent_id},
        "Options": {"com.docker.network.bridge.name": f"pm-{agent_id[:8]}"},
    }
    for tries_left in reversed(range(TRIES)):
        try:
            ask_json(path, "POST", "/networks/create", body)
        except ValueError as error:
            if PASSING not in str(error) or not tries_left:
                raise
        else:
            return
