"""Queue builds of what a source config names."""

from paas.core.builds import Build, Rollout
from paas.core.source_config import Origin, SourceConfig
from paas.engine.commands.builds import BuildCommands, BuildRequest, GitSource
from paas.store import source_builds
from paas.store.database import Tx


async def queue(
    tx: Tx,
    builds: BuildCommands,
    config: SourceConfig,
    ref: str,
    rollout: Rollout,
    origin: Origin,
    *,
    replaces: bool = False,
) -> Build:
    """Queue the build of a branch or commit; it may replace whatever is still built for that environment.

    To be followed by a poke of the builds. Raises Invalid, and Unavailable while too many wait.
    """
    source = GitSource(url=config.repository_url, ref=ref, path=config.path)
    request = BuildRequest(app_id=config.app_id, source=source, rollout=rollout, replaces=replaces)
    build = await builds.add(tx, request)
    await source_builds.insert(tx, build, origin)
    return build
