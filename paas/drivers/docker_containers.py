"""How a task is described to the engine, and how the engine's description is read back."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from typing import Any

from paas.core.ids import TaskId
from paas.core.model import Address, Instance, TaskSpec
from paas.drivers.docker_network import OWNER_LABEL

TASK_LABEL = "paas.task"
APP_LABEL = "paas.app"
DEPLOYMENT_LABEL = "paas.deployment"
PORT_LABEL = "paas.port"
SPEC_LABEL = "paas.spec"  # tells whether a container made ahead is still the one that is wanted

LISTEN_EVERYWHERE = "0.0.0.0"  # noqa: S104 - of the container's own network
MOST_PROCESSES = 1024  # and threads, where the spec does not say
LEAST_MEMORY_BYTES = 6 * 1024**2  # the engine refuses less
LEAST_CPU_MILLIS = 10
LOG_FILE_BYTES = 10 * 1024**2  # the engine's copy, beside the agent's own logs
LOG_FILES = 2

# What ordinary images do as root before they give it up: own their data, change user, bind port 80,
# signal their children, and shut themselves in (sshd, postfix). Raw sockets, device files, the audit log
# and file capabilities, which the engine gives by default, are not among it.
CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETUID",
    "SYS_CHROOT",
)


def name_of(task_id: TaskId) -> str:
    return f"paas-{task_id}"


def describe(spec: TaskSpec, *, agent_id: str, network: str, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    """Say to the engine what to create for a task; the same task gives the same, byte for byte."""
    listening = {"HOST": LISTEN_EVERYWHERE, "PORT": str(spec.port)} if spec.listens else {}
    env = {**spec.env, **listening, "TASK_ID": spec.task_id}
    body: dict[str, Any] = {
        "Image": spec.image,
        "Env": [f"{name}={value}" for name, value in sorted(env.items())],
        "Labels": {
            OWNER_LABEL: agent_id,
            TASK_LABEL: spec.task_id,
            APP_LABEL: spec.app_name,
            DEPLOYMENT_LABEL: spec.deployment_id,
            **({PORT_LABEL: str(spec.port)} if spec.listens else {}),
        },
        "StopTimeout": math.ceil(spec.grace_secs),  # for who stops it by hand
        # Readiness is the agent's to decide: a check of the image's runs a program in it for ever.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(spec, network, mounts),
        "NetworkingConfig": {"EndpointsConfig": {network: {}}},
    }
    if spec.command:
        body["Cmd"] = list(spec.command)
    digest = hashlib.blake2b(json.dumps(body, sort_keys=True).encode(), digest_size=16).hexdigest()
    body["Labels"][SPEC_LABEL] = digest
    return body


def _host_config(spec: TaskSpec, network: str, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    memory_bytes = max(LEAST_MEMORY_BYTES, spec.memory_bytes)
    cpu_millis = min(max(LEAST_CPU_MILLIS, spec.cpu_millis), 1000 * (os.cpu_count() or 1))
    return {
        "NetworkMode": network,
        "ExtraHosts": [f"{name}:{address}" for name, address in sorted(spec.hosts.items())],
        "NanoCpus": cpu_millis * 1_000_000,
        "Memory": memory_bytes,
        "MemorySwap": memory_bytes,  # of both together: no swap
        "PidsLimit": spec.pids or MOST_PROCESSES,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": list(CAPABILITIES),
        "SecurityOpt": ["no-new-privileges"],
        "Mounts": mounts,
        "Init": False,
        "AutoRemove": False,
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {
            "Type": "json-file",
            "Config": {"max-size": str(LOG_FILE_BYTES), "max-file": str(LOG_FILES)},
        },
    }


def is_unstarted(found: Mapping[str, Any]) -> bool:
    """Say of an inspected container whether it was made and never ran."""
    return bool(found["State"]["Status"] in {"created", "configured", "initialized"})


def read(task_id: TaskId, found: Mapping[str, Any], network: str) -> Instance | None:
    """Read an inspected container; None where it never ran."""
    if is_unstarted(found):
        return None
    state = found["State"]
    if not state.get("Running") and not state.get("Paused"):
        code = int(state["ExitCode"])
        # The flag also stands where it was a child that was killed, and the program went on.
        return Instance(
            task_id=task_id,
            status="exited",
            exit_code=code,
            oom_killed=bool(state.get("OOMKilled")) and code != 0,
        )
    host = found["NetworkSettings"]["Networks"].get(network, {}).get("IPAddress") or None
    port = found["Config"]["Labels"].get(PORT_LABEL, "")
    return Instance(
        task_id=task_id,
        status="frozen" if state.get("Paused") else "up",
        address=Address(host=host, port=int(port)) if host and port.isdigit() else None,
        pid=state.get("Pid") or None,
    )
