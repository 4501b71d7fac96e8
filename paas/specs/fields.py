"""What a request may say of a deployment's spec: field by field with its limits."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from paas.core.spec import Spec
from paas.specs.processes import Command, ProcessesFields

# Python's $ also matches before a last newline, which ECMAScript's does not.
END = r"$(?!\n)"
UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}" + END
MOST_VARIABLES = 1000
MOST_REPLICAS = 100
MOST_PIDS = 4_194_304
LONGEST_NAME = 40
YEAR_SECS = 31_536_000

_DEFAULT = Spec()

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?" + END,
        min_length=1,
        max_length=LONGEST_NAME,
        description="1 to 40 letters, digits and hyphens; the first and last no hyphen",
    ),
]
Slug = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?" + END,
        min_length=1,
        max_length=30,
        description="1 to 30 lower-case letters, digits and hyphens; the first and last no hyphen",
    ),
]
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*" + END
Environ = Annotated[
    dict[Annotated[str, Meta(pattern=VARIABLE, max_length=255)], str | None],
    Meta(
        max_length=MOST_VARIABLES,
        description="variables by name (letters, digits, underscores), laid over those that are there;"
        " null takes one away",
    ),
]


class ResourcesFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    cpu: (
        Annotated[
            str,
            Meta(
                max_length=32,
                description='"100m" is a tenth of a core, "2" are two cores',
                extra_json_schema={"default": _DEFAULT.resources.cpu},
            ),
        ]
        | UnsetType
    ) = UNSET
    memory: (
        Annotated[
            str,
            Meta(
                max_length=32,
                description='"128Mi", "1Gi" or a number of bytes as text',
                extra_json_schema={"default": _DEFAULT.resources.memory},
            ),
        ]
        | UnsetType
    ) = UNSET
    pids: (
        Annotated[
            int,
            Meta(
                ge=1, le=MOST_PIDS, description="processes and threads of a container at once, 1 to 4194304"
            ),
        ]
        | UnsetType
        | None
    ) = UNSET


class NetworkingFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    port: (
        Annotated[int, Meta(ge=1, le=65535, description="1 to 65535; null: the platform assigns one")]
        | UnsetType
        | None
    ) = UNSET
    protocol: (
        Annotated[
            Literal["http", "tcp", "grpc"],
            Meta(
                description="one of grpc, http, tcp; with tcp a port of the proxy's leads to it",
                extra_json_schema={"default": _DEFAULT.networking.protocol},
            ),
        ]
        | UnsetType
    ) = UNSET
    proxy_port: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=65535,
                description="the proxy's port for it, with protocol tcp; null: one is given once and kept",
            ),
        ]
        | UnsetType
        | None
    ) = UNSET
    check: (
        Annotated[
            Literal["auto", "connect", "postgresql", "redis"],
            Meta(
                description="with protocol tcp, when it is ready: connect, once it accepts connections;"
                " postgresql, redis: once the database answers; auto: as port 5432 or 6379 tells",
                extra_json_schema={"default": _DEFAULT.networking.check},
            ),
        ]
        | UnsetType
    ) = UNSET
    health_path: (
        Annotated[
            str,
            Meta(
                pattern=r"^/[\x21-\x7e]*" + END,
                max_length=1024,
                description="a path that answers 2xx or 3xx once the app is ready, such as /health",
            ),
        ]
        | UnsetType
        | None
    ) = UNSET


class IdleFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    freeze_after_secs: (
        Annotated[
            float,
            Meta(
                ge=1,
                le=YEAR_SECS,
                description="idle seconds before its processes are frozen, their memory kept, 1 to 31536000,"
                " below those before it is stopped; null: never",
            ),
        ]
        | UnsetType
        | None
    ) = UNSET
    stop_after_secs: (
        Annotated[
            float,
            Meta(
                ge=1,
                le=YEAR_SECS,
                description="idle seconds before it is stopped, 1 to 31536000; null: idle_timeout_secs",
            ),
        ]
        | UnsetType
        | None
    ) = UNSET


class VolumeFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A folder of the host in a container."""

    host_path: Annotated[
        str,
        Meta(
            pattern=r"^(/[^\x00]*|[A-Za-z0-9][A-Za-z0-9_.-]*)" + END,
            max_length=4096,
            description="an absolute path below one of containers.volume_roots, or a name: a volume of ours",
        ),
    ]
    container_path: Annotated[
        str,
        Meta(pattern=r"^/[^\x00:]+" + END, max_length=4096, description="an absolute path other than /"),
    ]
    read_only: Annotated[bool, Meta(description="tasks may not write there")] = False
    exclusive: Annotated[
        bool,
        Meta(description="written by one task at a time: a new version waits until the old one has ended"),
    ] = True


class SpecFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a deployment asks for; what is left out stays as it is, or has its default."""

    process_type: (
        Annotated[
            Literal["tish", "docker"],
            Meta(
                description="tish: a native program; docker: a container of an image",
                extra_json_schema={"default": _DEFAULT.process_type},
            ),
        ]
        | UnsetType
    ) = UNSET
    artifact_id: (
        Annotated[
            str, Meta(pattern=UUID, description="the id of an artifact", extra_json_schema={"format": "uuid"})
        ]
        | UnsetType
        | None
    ) = UNSET
    image: (
        Annotated[
            str,
            Meta(
                pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@/-]*" + END,
                min_length=1,
                max_length=512,
                description="the reference of an image, such as nginx:1.27 or ghcr.io/me/app@sha256:...",
            ),
        ]
        | UnsetType
        | None
    ) = UNSET
    pull: (
        Annotated[
            Literal["missing", "always"],
            Meta(
                description="whether the registry is asked for an image that is here already",
                extra_json_schema={"default": _DEFAULT.pull},
            ),
        ]
        | UnsetType
    ) = UNSET
    replicas: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=MOST_REPLICAS,
                description="0 to 100; 0: asleep until traffic wakes it",
                extra_json_schema={"default": _DEFAULT.replicas},
            ),
        ]
        | UnsetType
    ) = UNSET
    resources: ResourcesFields | UnsetType = UNSET
    networking: NetworkingFields | UnsetType = UNSET
    env: Environ | UnsetType = UNSET
    cold_start_enabled: (
        Annotated[bool, Meta(extra_json_schema={"default": _DEFAULT.cold_start_enabled})] | UnsetType
    ) = UNSET
    idle_timeout_secs: (
        Annotated[
            float,
            Meta(
                ge=1,
                le=YEAR_SECS,
                description="idle seconds before it is put to sleep, 1 to 31536000",
                extra_json_schema={"default": _DEFAULT.idle_timeout_secs},
            ),
        ]
        | UnsetType
    ) = UNSET
    idle: IdleFields | UnsetType = UNSET
    max_runtime_secs: (
        Annotated[
            float, Meta(ge=1, le=YEAR_SECS, description="seconds after which a task is ended, at least 1")
        ]
        | UnsetType
        | None
    ) = UNSET
    volumes: Annotated[list[VolumeFields], Meta(max_length=64)] | UnsetType = UNSET
    start_timeout_secs: (
        Annotated[
            float,
            Meta(
                ge=1,
                le=3600,
                description="seconds it may take to become ready, 1 to 3600",
                extra_json_schema={"default": _DEFAULT.start_timeout_secs},
            ),
        ]
        | UnsetType
    ) = UNSET
    stop_grace_secs: (
        Annotated[
            float,
            Meta(
                ge=0,
                le=600,
                description="seconds between SIGTERM and SIGKILL, 0 to 600",
                extra_json_schema={"default": _DEFAULT.stop_grace_secs},
            ),
        ]
        | UnsetType
    ) = UNSET
    processes: ProcessesFields | UnsetType = UNSET
    release: (
        Annotated[Command, Meta(description="what has to succeed, once, before a new version starts")]
        | UnsetType
        | None
    ) = UNSET
