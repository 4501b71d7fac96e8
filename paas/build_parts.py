"""What builds need, out of the configuration and the parts of the agent that are there already."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from paas.artifacts import ArtifactFiles
from paas.build_files import BuildFiles
from paas.build_logs import BuildLogs
from paas.builders.git import GitFetcher, GitLimits
from paas.builders.ready_programs import ReadyPrograms
from paas.builders.unpack import UnpackLimits
from paas.config import Config
from paas.core.ids import AppId
from paas.core.ports import Clock, ImageBuilder
from paas.engine import sources
from paas.engine.build_results import Results
from paas.engine.building import BuildWorld
from paas.engine.commands import Commands
from paas.engine.variables import Variables
from paas.store.database import Database
from paas.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildParts:
    """What is there already."""

    database: Database
    clock: Clock
    vault: Vault
    commands: Commands
    artifacts: ArtifactFiles
    files: BuildFiles
    logs: BuildLogs
    open_image_builder: Callable[[], Awaitable[ImageBuilder]]


def build_world(config: Config, parts: BuildParts) -> BuildWorld:
    builds, database = config.builds, parts.database
    unpack = UnpackLimits(bytes=builds.context_bytes, files=builds.context_files)

    async def token_for(app_id: AppId, url: str) -> str | None:
        return await sources.git_token(database.reader, parts.vault, app_id, url)

    return BuildWorld(
        database=database,
        clock=parts.clock,
        files=parts.files,
        logs=parts.logs,
        results=Results(
            database=database,
            clock=parts.clock,
            files=parts.artifacts,
            owning=parts.commands.artifacts.owning,
            versions=parts.commands.versions,
            open_image_builder=parts.open_image_builder,
        ),
        open_image_builder=parts.open_image_builder,
        source_builder=ReadyPrograms(),
        variables=Variables(database.reader, parts.vault),
        fetcher=GitFetcher(GitLimits(unpack=unpack, secs=builds.timeout_secs)),
        token_for=token_for,
        unpack=unpack,
        secs=builds.timeout_secs,
        at_once=builds.at_once,
        kept_per_app=config.retention.builds_per_app,
    )
