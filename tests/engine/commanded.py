"""Commands over a database, without an engine that follows them."""

from pathlib import Path

from paas.artifacts import ArtifactFiles
from paas.build_files import BuildFiles
from paas.core.ids import DeploymentId
from paas.engine.commands import Commands
from paas.parts import SystemClock
from paas.store.database import Database
from paas.vault import Vault


def commands_over(
    database: Database, vault: Vault, folder: Path, poked: list[DeploymentId] | None = None
) -> Commands:
    return Commands.over(
        database,
        ArtifactFiles(folder / "artifacts", 2**20),
        vault,
        SystemClock(),
        (poked if poked is not None else []).append,
        sources=BuildFiles(folder / "builds", 2**20),
        poke_builds=lambda: None,
    )
