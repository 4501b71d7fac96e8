"""What may be asked. Each is one transaction and a poke: fast, durable, and never acts itself."""

from collections.abc import Callable

from paas.core.ids import DeploymentId
from paas.core.ports import Clock
from paas.core.records import dataclass
from paas.engine.commands.apps import AppCommands
from paas.engine.commands.artifacts import ArtifactBytes, ArtifactCommands
from paas.engine.commands.boxes import Boxes, Wanted
from paas.engine.commands.builds import (
    ArchiveSource,
    BuildCommands,
    BuildRequest,
    GitSource,
    SameSource,
    SourceFiles,
)
from paas.engine.commands.deployments import DeploymentCommands, DeployRequest
from paas.engine.commands.environments import EnvironmentCommands
from paas.engine.commands.hooks import HookCommands
from paas.engine.commands.registries import RegistryCommands
from paas.engine.commands.releases import ReleaseCommands
from paas.engine.commands.secrets import SecretCommands
from paas.engine.commands.sources import SourceCommands
from paas.engine.commands.tasks import TaskCommands
from paas.engine.commands.tcp_ports import TcpPortRange
from paas.engine.commands.triggers import TriggerCommands
from paas.engine.commands.variables import VariableCommands
from paas.engine.commands.versions import Versions
from paas.store.database import Database
from paas.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    apps: AppCommands
    artifacts: ArtifactCommands
    builds: BuildCommands
    deployments: DeploymentCommands
    environments: EnvironmentCommands
    hooks: HookCommands
    registries: RegistryCommands
    releases: ReleaseCommands
    secrets: SecretCommands
    sources: SourceCommands
    tasks: TaskCommands
    variables: VariableCommands
    versions: Versions
    triggers: TriggerCommands

    @classmethod
    def over(
        cls,
        database: Database,
        files: ArtifactBytes,
        vault: Vault,
        clock: Clock,
        poke: Callable[[DeploymentId], None],
        *,
        sources: SourceFiles,
        poke_builds: Callable[[], None],
        tcp_ports: TcpPortRange | None = None,
    ) -> "Commands":
        boxes = Boxes(vault)
        versions = Versions(database, clock, poke, tcp_ports or TcpPortRange(), boxes)
        building = BuildCommands(database, sources, clock, poke_builds)
        environments = EnvironmentCommands(database, clock, poke, poke_builds)
        releases = ReleaseCommands(database, versions, building)
        return cls(
            apps=AppCommands(database, clock, poke, boxes),
            artifacts=ArtifactCommands(database, files, clock, poke),
            builds=building,
            deployments=DeploymentCommands(database, clock, poke, versions, vault),
            environments=environments,
            hooks=HookCommands(database, vault, clock, building, environments),
            registries=RegistryCommands(database, vault, clock),
            releases=releases,
            secrets=SecretCommands(database, vault, clock),
            sources=SourceCommands(database, vault, clock),
            tasks=TaskCommands(database, clock, poke),
            variables=VariableCommands(database, boxes, clock, poke),
            versions=versions,
            triggers=TriggerCommands(database, building, releases),
        )


__all__ = [
    "ArchiveSource",
    "BuildRequest",
    "Commands",
    "DeployRequest",
    "GitSource",
    "SameSource",
    "TcpPortRange",
    "Wanted",
]
