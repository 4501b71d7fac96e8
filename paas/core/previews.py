"""What a preview is, whatever its manifest says: small, soon asleep, and apart from all else. Pure."""

from paas.core.records import replace
from paas.core.spec import Idle, Spec

IDLE_SECS = 60


def as_preview(spec: Spec) -> Spec:
    """Let all of a deployment sleep, and share neither the files nor the port of another environment."""
    return replace(
        spec,
        replicas=min(1, spec.replicas),
        cold_start_enabled=True,
        idle_timeout_secs=IDLE_SECS,
        idle=Idle(),
        volumes=(),
        networking=replace(spec.networking, proxy_port=None),
        processes={
            name: replace(process, replicas=min(1, process.replicas), sleeps=True)
            for name, process in spec.processes.items()
        },
    )
