"""What builds need, out of the configuration and the parts of the agent that are there already."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from paas.artifacts import ArtifactFiles
from paas.build_files import BuildFiles
from paas.build_logs import BuildLogs
from paas.builders.build_process import RunLimits
from paas.builders.containment import ProcessLimits
from paas.builders.git import GitFetcher, GitLimits
from paas.builders.program_tar import TarLimits
from paas.builders.recipes import RecipeTable
from paas.builders.source import SourcePrograms, SourceSettings, passed_on
from paas.builders.trees import UnpackLimits
from paas.config import Config
from paas.core.ids import AppId
from paas.core.ports import Clock, ImageBuilder
from paas.core.records import dataclass
from paas.engine import sources
from paas.engine.build_results import Results
from paas.engine.building import Building, BuildWorld
from paas.engine.commands import Commands
from paas.engine.variables import Variables
from paas.launching.users import User
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
    choosing_images: asyncio.Lock
    cache_root: Path
    user: tuple[int, int] | None  # who builds natively; None: the agent's own
    no_user: str | None  # why nobody does


def opened(config: Config, parts: BuildParts) -> Building:
    """Wire what builds; nothing is asked or started yet."""
    builds, database = config.builds, parts.database
    unpack = UnpackLimits(bytes=builds.context_bytes, files=builds.context_files)

    async def token_for(app_id: AppId, url: str) -> str | None:
        return await sources.git_token(database.reader, parts.vault, app_id, url)

    world = BuildWorld(
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
            choosing_images=parts.choosing_images,
            open_image_builder=parts.open_image_builder,
        ),
        open_image_builder=parts.open_image_builder,
        source_builder=SourcePrograms(RecipeTable(builds.recipes), _source_settings(config, parts)),
        variables=Variables(database.reader, parts.vault),
        fetcher=GitFetcher(GitLimits(unpack=unpack, secs=builds.timeout_secs)),
        token_for=token_for,
        unpack=unpack,
        secs=builds.timeout_secs,
    )
    return Building(world)


def _source_settings(config: Config, parts: BuildParts) -> SourceSettings:
    builds, tasks = config.builds, config.tasks
    return SourceSettings(
        limits=RunLimits(
            secs=builds.timeout_secs,
            processes=ProcessLimits(
                memory_bytes=builds.memory_bytes,
                cpus=builds.cpus,
                processes=builds.processes,
                file_bytes=builds.workspace_bytes,
            ),
            workspace_bytes=builds.workspace_bytes,
            workspace_files=builds.workspace_files,
            output_bytes=builds.log_bytes // 2,
        ),
        program=TarLimits(bytes=tasks.unpacked_bytes, files=tasks.unpacked_files),
        cache_root=parts.cache_root,
        cache_bytes=builds.cache_bytes,
        user=None if parts.user is None else User(uid=parts.user[0], gid=parts.user[1]),
        no_user=parts.no_user,
        readable=builds.readable,
        passed=passed_on(builds.pass_env, os.environ),
    )
