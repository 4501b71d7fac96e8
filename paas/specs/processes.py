"""What may be said of the processes beside web, and of the release command. Pure."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from paas.core.command_lines import argv_of
from paas.core.errors import Invalid
from paas.core.spec import PROCESS_NAME, RELEASE, WEB, Process, Spec

END = r"$(?!\n)"  # as in paas.specs.fields
MOST_PROCESSES = 32
MOST_REPLICAS = 100
_USUAL = Process()

Command = Annotated[
    str,
    Meta(
        pattern=r"^(?=[\s\S]*\S)[^\x00]+" + END,
        max_length=8192,
        description="a command line: natively for /bin/sh, in a container words for its entry point",
    ),
]


class ProcessFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A process beside web; what is left out stays as it is, or has its default."""

    command: Command | UnsetType | None = UNSET
    replicas: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=MOST_REPLICAS,
                description="how many tasks of it run, 0 to 100",
                extra_json_schema={"default": _USUAL.replicas},
            ),
        ]
        | UnsetType
    ) = UNSET
    sleeps: (
        Annotated[
            bool,
            Meta(
                description="whether it sleeps with its deployment; else it runs as long as that is current",
                extra_json_schema={"default": _USUAL.sleeps},
            ),
        ]
        | UnsetType
    ) = UNSET


ProcessesFields = Annotated[
    dict[Annotated[str, Meta(pattern=PROCESS_NAME + END, max_length=30)], ProcessFields | None],
    Meta(
        max_length=MOST_PROCESSES,
        description="processes beside web by name, laid over those that are there; null forgets what was said"
        " of one",
    ),
]


def laid_over(
    old: Mapping[str, Process], given: Mapping[str, ProcessFields | None] | UnsetType
) -> Mapping[str, Process]:
    """Change what is said of processes. Raises Invalid for the two that are no workers."""
    if isinstance(given, UnsetType):
        return old
    for name, hint in (
        (WEB, "its number is the deployment's own replicas; it sleeps unless cold_start_enabled is false"),
        (RELEASE, "give the command as the deployment's own release"),
    ):
        if name in given:
            raise Invalid(f"cannot name a process {name}", field=f"processes.{name}", hint=hint)
    laid = {**old, **{name: _changed(old.get(name, _USUAL), fields) for name, fields in given.items()}}
    kept = {name: process for name, process in laid.items() if process is not None}
    if len(kept) > MOST_PROCESSES:
        raise Invalid(f"cannot have {len(kept)} processes: {MOST_PROCESSES} are allowed", field="processes")
    return kept


def check(spec: Spec) -> None:
    """Refuse what cannot run. Raises Invalid."""
    lines = {f"processes.{name}.command": process.command for name, process in spec.processes.items()}
    for field, command in {**lines, "release": spec.release}.items():
        try:
            argv_of(command or "-", spec.process_type)
        except ValueError as error:
            raise Invalid(f"cannot read the command {command}: {error}", field=field) from error
    for name, process in spec.processes.items():
        if spec.process_type == "docker" and process.command is None:
            raise Invalid(
                f"cannot run the process {name}: an image names no processes",
                field=f"processes.{name}.command",
                hint="give its command",
            )
        if process.replicas and spec.exclusive_paths:
            raise Invalid(
                f"cannot run the process {name}: a volume is exclusive, one task at a time may write it",
                field=f"processes.{name}.replicas",
                hint="set exclusive to false for volumes that tasks can share, or read_only to true",
            )


def _changed(old: Process, fields: ProcessFields | None) -> Process | None:
    if fields is None:
        return None
    return Process(
        command=old.command if isinstance(fields.command, UnsetType) else fields.command,
        replicas=old.replicas if isinstance(fields.replicas, UnsetType) else fields.replicas,
        sleeps=old.sleeps if isinstance(fields.sleeps, UnsetType) else fields.sleeps,
    )
