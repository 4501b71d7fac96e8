"""From what a request says of a deployment to a complete, acceptable spec. Pure."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import TypeVar

import msgspec
from msgspec import UnsetType

from paas.core.errors import Invalid, NotSupported, PaasError
from paas.core.ids import ArtifactId
from paas.core.records import replace
from paas.core.resources import cpu_millis, memory_bytes
from paas.core.spec import Idle, Networking, ProcessType, Resources, Spec, Volume
from paas.specs import processes
from paas.specs.fields import (
    Environ,
    IdleFields,
    NetworkingFields,
    ResourcesFields,
    SpecFields,
    VolumeFields,
)

T = TypeVar("T")

OURS = frozenset({"HOST", "PORT"})  # variables that the agent sets
LARGEST_ENVIRON_BYTES = 64 * 1024


def complete(defaults: Mapping[str, object] | None, *layers: SpecFields) -> Spec:
    """Lay requests, the last above all, over the app's default_deployment_spec and our own defaults.

    Variables are no part of it: see `variables`. Raises Invalid.
    """
    spec = _overlay(Spec(), msgspec.convert(dict(defaults or {}), SpecFields))
    for fields in layers:
        spec = _overlay(spec, fields)
    return _whole_spec(spec)


def changed(spec: Spec, fields: SpecFields) -> Spec:
    """Change what is given and keep the rest. Raises Invalid."""
    return _whole_spec(_overlay(spec, fields))


def _overlay(spec: Spec, fields: SpecFields) -> Spec:
    return replace(
        spec,
        process_type=_process_type(spec.process_type, fields),
        artifact_id=_artifact(spec.artifact_id, fields.artifact_id),
        image=_given(fields.image, spec.image),
        pull=_given(fields.pull, spec.pull),
        volumes=_volumes(spec.volumes, fields.volumes),
        replicas=_given(fields.replicas, spec.replicas),
        resources=_resources(spec.resources, fields.resources),
        networking=_networking(spec.networking, fields.networking),
        cold_start_enabled=_given(fields.cold_start_enabled, spec.cold_start_enabled),
        idle_timeout_secs=_whole(_given(fields.idle_timeout_secs, spec.idle_timeout_secs)),
        max_runtime_secs=_whole_or_none(_given(fields.max_runtime_secs, spec.max_runtime_secs)),
        start_timeout_secs=_whole(_given(fields.start_timeout_secs, spec.start_timeout_secs)),
        stop_grace_secs=_whole(_given(fields.stop_grace_secs, spec.stop_grace_secs)),
        idle=_idle(spec.idle, fields.idle),
        processes=processes.laid_over(spec.processes, fields.processes),
        release=_given(fields.release, spec.release),
    )


def _process_type(old: ProcessType, fields: SpecFields) -> ProcessType:
    """Take what is said, else what the image or the artifact means that is given."""
    if not isinstance(fields.process_type, UnsetType):
        return fields.process_type
    if isinstance(fields.image, str):
        return "docker"
    return "tish" if isinstance(fields.artifact_id, str) else old


def _volumes(old: tuple[Volume, ...], given: list[VolumeFields] | UnsetType) -> tuple[Volume, ...]:
    if isinstance(given, UnsetType):
        return old
    return tuple(msgspec.convert(each, Volume, from_attributes=True) for each in given)


def _whole_spec(spec: Spec) -> Spec:
    """Refuse what contradicts itself; forget what only the other kind of task has."""
    _check_levels(spec)
    processes.check(spec)
    if spec.process_type == "tish":
        if spec.volumes:
            raise Invalid(
                "cannot mount volumes: a native program has none, it sees the files of its user",
                field="volumes",
            )
        return replace(spec, image=None)
    paths = [volume.container_path.rstrip("/") for volume in spec.volumes]
    for number, path in enumerate(paths):
        if path in paths[:number] or ".." in path.split("/"):
            raise Invalid(
                f"cannot mount a volume at {path}: the path is taken or not a plain one",
                field=f"volumes.{number}.container_path",
            )
    if spec.replicas > 1 and not all(volume.is_shared for volume in spec.volumes):
        raise Invalid(
            f"cannot run {spec.replicas} replicas: a volume is exclusive, one task at a time may write it",
            field="replicas",
            hint="set exclusive to false for volumes that the app can share, or read_only to true",
        )
    return replace(spec, artifact_id=None)


@contextlib.contextmanager
def named(parent: str) -> Iterator[None]:
    """Name the fields of whatever is refused in here as parts of `parent`."""
    try:
        yield
    except PaasError as error:
        if error.field is not None:
            error.field = f"{parent}.{error.field}"
        raise


def as_given(fields: SpecFields | None) -> Mapping[str, object] | None:
    """Check what is to be an app's default_deployment_spec, and keep exactly the fields it names.

    Its `env` is among them; whoever stores it keeps that apart.
    """
    if fields is None:
        return None
    with named("default_deployment_spec"):
        changed(Spec(), fields)
        variables(fields.env)
    kept: Mapping[str, object] = msgspec.to_builtins(fields)
    return kept


def _artifact(old: ArtifactId | None, given: str | UnsetType | None) -> ArtifactId | None:
    if isinstance(given, UnsetType):
        return old
    return None if given is None else ArtifactId(given.lower())


def _resources(old: Resources, given: ResourcesFields | UnsetType) -> Resources:
    if isinstance(given, UnsetType):
        return old
    resources = Resources(
        cpu=_given(given.cpu, old.cpu),
        memory=_given(given.memory, old.memory),
        pids=_given(given.pids, old.pids),
    )
    cpu_millis(resources.cpu)
    memory_bytes(resources.memory)
    return resources


def _networking(old: Networking, given: NetworkingFields | UnsetType) -> Networking:
    if isinstance(given, UnsetType):
        return old
    if given.protocol == "grpc":
        raise NotSupported(
            "cannot serve the protocol grpc: this version of the agent serves http and tcp",
            field="networking.protocol",
            hint="tcp carries it unread",
        )
    protocol = _given(given.protocol, old.protocol)
    networking = Networking(
        port=_given(given.port, old.port),
        protocol=protocol,
        health_path=_given(given.health_path, old.health_path),
        check=_given(given.check, old.check if protocol == "tcp" else "auto"),
        proxy_port=_given(given.proxy_port, old.proxy_port if protocol == "tcp" else None),
    )
    _check_protocol(networking)
    return networking


def _check_protocol(networking: Networking) -> None:
    """Refuse what only the other protocol has."""
    if networking.protocol == "tcp" and networking.health_path is not None:
        raise Invalid(
            "cannot ask a health path: the app speaks tcp",
            field="networking.health_path",
            hint="leave it out, or set it to null; networking.check says when it is ready",
        )
    if networking.protocol == "http" and networking.check != "auto":
        raise Invalid(
            f"cannot check it as {networking.check}: the app speaks http",
            field="networking.check",
            hint="set networking.health_path, or networking.protocol to tcp",
        )
    if networking.protocol == "http" and networking.proxy_port is not None:
        raise Invalid(
            f"cannot give the app the port {networking.proxy_port}: it speaks http, and has hosts instead",
            field="networking.proxy_port",
            hint="set networking.protocol to tcp",
        )


def _idle(old: Idle, given: IdleFields | UnsetType) -> Idle:
    if isinstance(given, UnsetType):
        return old
    return Idle(
        freeze_after_secs=_whole_or_none(_given(given.freeze_after_secs, old.freeze_after_secs)),
        stop_after_secs=_whole_or_none(_given(given.stop_after_secs, old.stop_after_secs)),
    )


def _check_levels(spec: Spec) -> None:
    """Refuse to freeze what would have been stopped before. Raises Invalid."""
    freeze_after, stop_after = spec.idle.freeze_after_secs, spec.stops_after_secs
    if freeze_after is not None and freeze_after >= stop_after:
        raise Invalid(
            f"cannot freeze after {freeze_after:g} s: it is stopped after {stop_after:g} s",
            field="idle.freeze_after_secs",
            hint="give less, or more as idle.stop_after_secs or idle_timeout_secs",
        )


def variables(given: Environ | UnsetType) -> Mapping[str, str | None]:
    """Take what a request says of variables, by name; null takes one away. Raises Invalid.

    How many they may be, with those that are there, is for whoever lays them over those.
    """
    if isinstance(given, UnsetType):
        return {}
    for name, value in given.items():
        if name in OURS:
            raise Invalid(
                f"cannot set the variable {name}: the agent sets it",
                field=f"env.{name}",
                hint="set networking.port to choose the port" if name == "PORT" else None,
            )
        if value is not None and "\0" in value:
            raise Invalid(f"cannot set the variable {name}: it holds a NUL", field=f"env.{name}")
    return given


def _given(given: T | UnsetType, old: T) -> T:
    return old if isinstance(given, UnsetType) else given


def _whole(seconds: float) -> float:
    """Keep 300 as 300, whichever way JSON had written it."""
    return int(seconds) if seconds == int(seconds) else seconds


def _whole_or_none(seconds: float | None) -> float | None:
    return None if seconds is None else _whole(seconds)
