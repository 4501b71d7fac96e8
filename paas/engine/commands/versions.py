"""Add a version of an app: what every way to a new deployment shares."""

from collections.abc import Callable, Mapping

from paas.core import hosts
from paas.core.errors import Invalid, NotFound
from paas.core.ids import AppId, BuildId, DeploymentId, new_deployment_id, new_sha
from paas.core.model import App, Deployment
from paas.core.ports import Clock
from paas.core.spec import Spec
from paas.core.states import DeploymentState
from paas.core.variables import of_deployment
from paas.engine.commands.boxes import Boxes, Wanted
from paas.engine.commands.naming import ensure_environment
from paas.engine.commands.tcp_ports import TcpPortRange
from paas.store import apps, artifacts, builds, deployments, host_labels
from paas.store.database import Database, Reader, Tx


class Versions:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        poke: Callable[[DeploymentId], None],
        tcp_ports: TcpPortRange,
        boxes: Boxes,
    ) -> None:
        self._database = database
        self._boxes = boxes
        self._clock = clock
        self._poke = poke
        self._tcp_ports = tcp_ports

    async def add(
        self,
        tx: Tx,
        app: App,
        environment: str,
        spec: Spec,
        *,
        build_id: BuildId | None = None,
        env: Mapping[str, str | None] | None = None,
        env_of: DeploymentId | None = None,
    ) -> Deployment:
        """Add a deployment, to be poked after the transaction.

        Which build's result it runs is found by its artifact or image where it is not said. `env` are
        variables of its own, over those of the app and the environment; null takes one of those away.
        `env_of` names a deployment of the app whose own variables it gets, secrets included, below `env`.

        Raises Invalid for an artifact that is not there, for too many variables and for what fits no
        host, Conflict for a port, or a host of a new environment, that another has, and Unavailable if
        the key cannot be used.
        """
        await check_artifact(tx, spec)
        now = self._clock.now()
        await ensure_environment(tx, app, environment, now=now)
        deployment = Deployment(
            id=new_deployment_id(),
            app_id=app.id,
            sha=await _free_sha(tx, app, environment),
            version=await apps.next_version(tx, app.id),
            environment=environment,
            state=DeploymentState.QUEUED,
            reason=None,
            spec=spec,
            revision=1,
            command=None,
            image=None,
            exposed_port=None,
            build_id=build_id or await _maker_of(tx, app, spec),
            slept_at=0.0,
            woken_at=0.0,
            created_at=now,
            updated_at=now,
        )
        label = hosts.preview_label(app.name, deployment.sha, environment)
        if len(label) > hosts.LONGEST_LABEL:
            raise Invalid(
                f"cannot deploy {app.name}: its preview host label {label} has {len(label)} characters,"
                f" {hosts.LONGEST_LABEL} are allowed",
                field="environment",
                hint="use a shorter environment",
            )
        await deployments.insert(tx, deployment)
        owner = of_deployment(app.id, deployment.id)
        if env_of is not None:
            await self._boxes.copy(tx, app.id, env_of, owner, now=now)
        if env:
            await self._boxes.lay(tx, owner, Wanted.over(env), now=now)
        await self.claim_port(tx, app, deployment)
        return deployment

    async def claim_port(self, tx: Tx, app: App, deployment: Deployment) -> None:
        networking, now = deployment.spec.networking, self._clock.now()
        await self._tcp_ports.claim(tx, app, deployment.environment, networking, now=now)

    async def poke(self, deployment: Deployment) -> None:
        """Poke a deployment, and the one that is current beside it: the port of both may be another now."""
        self._poke(deployment.id)
        if deployment.spec.networking.protocol == "tcp":
            current = await apps.current_deployments(self._database.reader, deployment.app_id)
            if deployment.environment in current:
                self._poke(current[deployment.environment])


async def _maker_of(reader: Reader, app: App, spec: Spec) -> BuildId | None:
    made = spec.artifact_id or spec.image
    return None if made is None else await builds.maker_of(reader, app.id, made)


async def _free_sha(reader: Reader, app: App, environment: str) -> str:
    """Make one whose preview host no app and no environment has: a namespace may look like one."""
    while True:
        sha = new_sha()
        if await host_labels.name_holder(reader, hosts.preview_label(app.name, sha, environment)) is None:
            return sha


async def existing_app(reader: Reader, app_id: AppId) -> App:
    app = await apps.get(reader, app_id)
    if app is None:
        raise NotFound(f"no app has the id {app_id}", code="APP_NOT_FOUND")
    return app


async def existing_deployment(reader: Reader, deployment_id: DeploymentId) -> Deployment:
    deployment = await deployments.get(reader, deployment_id)
    if deployment is None:
        raise NotFound(f"no deployment has the id {deployment_id}", code="DEPLOYMENT_NOT_FOUND")
    return deployment


async def check_artifact(reader: Reader, spec: Spec) -> None:
    if spec.artifact_id is not None and await artifacts.get(reader, spec.artifact_id) is None:
        raise Invalid(
            f"cannot deploy: no artifact has the id {spec.artifact_id}",
            code="ARTIFACT_NOT_FOUND",
            field="artifact_id",
            hint="create it with POST /api/v1/artifacts and upload its bytes",
        )
