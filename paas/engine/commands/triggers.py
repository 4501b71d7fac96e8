"""Deploy from an app's source because somebody asks for it."""

from paas.core.builds import Build, Rollout
from paas.core.errors import Conflict, Invalid
from paas.core.ids import AppId
from paas.core.model import Deployment
from paas.core.records import dataclass
from paas.core.repositories import key_of
from paas.core.source_config import Origin, SourceConfig
from paas.core.sources import check_ref
from paas.engine.commands.builds import BuildCommands
from paas.engine.commands.from_source import queue
from paas.engine.commands.releases import ReleaseCommands
from paas.engine.commands.versions import existing_app
from paas.store import builds, deployments, source_builds, source_configs
from paas.store.database import Database, Reader, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerRequest:
    """A wish for what is in the repository; `key` and `request_sha256` recognise a repeated one."""

    app_id: AppId
    environment: str
    branch: str | None = None  # None: the configured one
    commit: str | None = None  # None: the branch's last
    key: str | None = None
    request_sha256: str = ""


class TriggerCommands:
    def __init__(self, database: Database, building: BuildCommands, releases: ReleaseCommands) -> None:
        self._database = database
        self._building = building
        self._releases = releases

    async def build(self, request: TriggerRequest) -> Build:
        """Queue a build, and the deployment that follows it.

        With a key that was seen before, gives the first build and adds nothing; Invalid if the request
        differs from the first. Raises NotFound for the app, Conflict without a source config, Invalid
        for what is no branch or commit, and Unavailable while too many builds wait.
        """
        async with self._database.transaction() as tx:
            config = await _config(tx, request)
            first = await _first_result(tx, request)
            if first is not None:
                return first
            branch = config.branch if request.branch is None else request.branch
            build = await queue(
                tx,
                self._building,
                config,
                request.commit or branch,
                Rollout(environment=request.environment, cause="trigger"),
                Origin(branch=branch, key=request.key, request_sha256=request.request_sha256),
            )
        self._building.poke()
        return build

    async def deploy_built(self, request: TriggerRequest) -> Deployment:
        """Deploy what the newest successful build of the branch, or of the commit, came to.

        Raises NotFound for the app, and Conflict without a source config or such a build.
        """
        reader = self._database.reader
        config = await _config(reader, request)
        branch = config.branch if request.branch is None else request.branch
        for build in await source_builds.succeeded(reader, request.app_id, branch=branch):
            if not _is_of(build, config, request.commit) or build.deployment_id is None:
                continue
            if await deployments.get(reader, build.deployment_id) is not None:
                return await self._releases.promote(build.deployment_id, request.environment)
        raise Conflict(
            f"cannot deploy without a build: nothing was built of {request.commit or branch} that is kept",
            code="NO_BUILD",
            hint="leave skip_build out",
        )


async def _config(reader: Reader, request: TriggerRequest) -> SourceConfig:
    await existing_app(reader, request.app_id)
    for ref, field in ((request.branch, "branch"), (request.commit, "ref")):
        if ref is not None:
            check_ref(ref, field=field)
    config = await source_configs.get(reader, request.app_id)
    if config is None:
        raise Conflict(
            f"cannot deploy app {request.app_id} from its source: none is configured",
            code="SOURCE_NOT_CONFIGURED",
            hint=f"set it with PUT /api/v1/apps/{request.app_id}/source-config, or `paas source set`",
        )
    return config


async def _first_result(tx: Tx, request: TriggerRequest) -> Build | None:
    seen = None if request.key is None else await source_builds.by_key(tx, request.app_id, request.key)
    if seen is None:
        return None
    build_id, request_sha256 = seen
    if request_sha256 != request.request_sha256:
        raise Invalid(
            "cannot deploy: this Idempotency-Key was used for another request",
            code="IDEMPOTENCY_KEY_REUSED",
            field="Idempotency-Key",
            hint="use a new key for a new request",
        )
    return await builds.get(tx, build_id)


def _is_of(build: Build, config: SourceConfig, commit: str | None) -> bool:
    source = build.source
    if source.url is None or key_of(source.url) != key_of(config.repository_url):
        return False
    return source.path == config.path and (commit is None or (source.commit or "").startswith(commit.lower()))
