"""Between rows and records, for every table."""

import sqlite3
import sys
from typing import Any

import msgspec

from paas.core.builds import Build, BuildOptions, Rollout, Source
from paas.core.ids import DeploymentId
from paas.core.model import App, Artifact, Deployment, Environment, Sealed, Task, WakePolicy
from paas.core.spec import Spec
from paas.core.states import BuildState, DeploymentState, TaskState
from paas.core.variables import Boxed, by_weight

Row = sqlite3.Row | dict[str, Any]  # what SQLite gives has no types until it is a record

APP_COLUMNS = (
    "id, name, namespace, subdomain, description, labels, default_deployment_spec, wake_policy,"
    " created_at, updated_at"
)
ENVIRONMENT_COLUMNS = "app_id, slug, label, current_deployment_id, pull_request, created_at"
ARTIFACT_COLUMNS = "id, name, content_type, size_bytes, sha256, created_at, uploaded_at"
BUILD_COLUMNS = (
    "id, app_id, state, reason, source, options, environment, rollout, recipe, fingerprint, reused_build_id,"
    " artifact_id, image, image_id, image_bytes, deployment_id, created_at, started_at, ended_at, updated_at"
)
DEPLOYMENT_COLUMNS = (
    "id, app_id, sha, version, environment, state, reason, spec, revision, command, image, exposed_port,"
    " build_id, slept_at, woken_at, created_at, updated_at, processes, release"
)
TASK_COLUMNS = (
    "id, deployment_id, process, revision, state, reason, port, exit_code, crashed, stop_requested,"
    " created_at, started_at, ready_at, ended_at, updated_at"
)

_labels = msgspec.json.Decoder(dict[str, str])
_object = msgspec.json.Decoder(dict[str, object])
_options = msgspec.json.Decoder(BuildOptions)
_source = msgspec.json.Decoder(Source)
_rollout = msgspec.json.Decoder(Rollout)
_policy = msgspec.json.Decoder(WakePolicy)
_spec = msgspec.json.Decoder(Spec)
_current = msgspec.json.Decoder(dict[str, DeploymentId])
_command = msgspec.json.Decoder(tuple[str, ...])
_commands = msgspec.json.Decoder(dict[str, tuple[str, ...]])
_boxes = msgspec.json.Decoder(list[tuple[str, str, int, str | None, str]])


def to_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def part(row: sqlite3.Row, prefix: str) -> Row:
    """Take one table's columns out of a joined row."""
    start = len(prefix)
    return {key[start:]: row[key] for key in row.keys() if key.startswith(prefix)}  # noqa: SIM118


def current(text: str) -> dict[str, DeploymentId]:
    return _current.decode(text)


def boxes(text: str | None) -> tuple[Boxed, ...]:
    """Read variables as a snapshot has them, those that win last."""
    if text is None:
        return ()
    return tuple(
        by_weight(
            Boxed(
                owner=owner,
                name=name,
                is_secret=bool(is_secret),
                sealed=None if key_id is None else Sealed(key_id=key_id, box=bytes.fromhex(box)),
            )
            for owner, name, is_secret, key_id, box in _boxes.decode(text)
        )
    )


def app(row: Row) -> App:
    default = row["default_deployment_spec"]
    return App(
        id=row["id"],
        name=row["name"],
        namespace=row["namespace"],
        subdomain=row["subdomain"],
        description=row["description"],
        labels=_labels.decode(row["labels"]),
        default_deployment_spec=None if default is None else _object.decode(default),
        wake_policy=_policy.decode(row["wake_policy"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def spec(text: str) -> Spec:
    return _spec.decode(text)


def environment(row: Row) -> Environment:
    return Environment(**{key: row[key] for key in row.keys()})  # noqa: SIM118 - a Row iterates its values


def artifact(row: Row) -> Artifact:
    return Artifact(**{key: row[key] for key in row.keys()})  # noqa: SIM118 - a Row iterates its values


def build(row: Row) -> Build:
    columns = {key: row[key] for key in row.keys()}  # noqa: SIM118 - a Row iterates its values
    rollout = row["rollout"]
    columns |= {
        "state": BuildState(row["state"]),
        "source": _source.decode(row["source"]),
        "options": _options.decode(row["options"]),
        "rollout": None if rollout is None else _rollout.decode(rollout),
    }
    return Build(**columns)


def deployment(row: Row) -> Deployment:
    command, release = row["command"], row["release"]
    return Deployment(
        id=row["id"],
        app_id=row["app_id"],
        sha=row["sha"],
        version=row["version"],
        environment=row["environment"],
        state=DeploymentState(row["state"]),
        reason=row["reason"],
        spec=_spec.decode(row["spec"]),
        revision=row["revision"],
        command=None if command is None else _command.decode(command),
        image=row["image"],
        exposed_port=row["exposed_port"],
        build_id=row["build_id"],
        processes=_commands.decode(row["processes"] or "{}"),
        release=None if release is None else _command.decode(release),
        slept_at=row["slept_at"],
        woken_at=row["woken_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def task(row: Row) -> Task:
    return Task(
        id=row["id"],
        deployment_id=row["deployment_id"],
        process=sys.intern(row["process"]),  # one word, whatever the number of tasks
        revision=row["revision"],
        state=TaskState(row["state"]),
        reason=row["reason"],
        port=row["port"],
        exit_code=row["exit_code"],
        crashed=bool(row["crashed"]),
        stop_requested=bool(row["stop_requested"]),
        created_at=row["created_at"],
        started_at=row["started_at"],
        ready_at=row["ready_at"],
        ended_at=row["ended_at"],
        updated_at=row["updated_at"],
    )
