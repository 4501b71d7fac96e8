"""Create, change and end deployments; ask them to sleep and wake."""

from collections.abc import Callable, Mapping

from paas.core.errors import Conflict, Invalid
from paas.core.ids import AppId, DeploymentId
from paas.core.model import Deployment, Sealed
from paas.core.ports import Clock
from paas.core.processes import unknown_in, workers_of
from paas.core.records import dataclass, field, replace
from paas.core.spec import Spec
from paas.core.states import LIVE_DEPLOYMENT, SERVING_DEPLOYMENT, UNSETTLED_DEPLOYMENT, DeploymentState
from paas.core.variables import of_deployment
from paas.engine.commands.boxes import Boxes, Wanted
from paas.engine.commands.versions import (
    Versions,
    check_artifact,
    existing_app,
    existing_deployment,
)
from paas.store import deployments, transitions
from paas.store.database import Database, Tx
from paas.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployRequest:
    """A wish for a new version. `key` and `request_sha256` recognise a repeated request.

    `env` are variables of its own; null takes away what the app or the environment sets.
    """

    app_id: AppId
    environment: str
    spec: Spec
    env: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    key: str | None = None
    request_sha256: str = ""


class DeploymentCommands:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        poke: Callable[[DeploymentId], None],
        versions: Versions,
        vault: Vault,
    ) -> None:
        self._database = database
        self._clock = clock
        self._poke = poke
        self._versions = versions
        self._vault = vault
        self._boxes = Boxes(vault)

    async def deploy(self, request: DeployRequest) -> Deployment:
        """Add a deployment, which starts as soon as its artifact is there.

        With a key that was seen before, answers the first result and adds nothing; Invalid if the
        request differs from the first. Raises NotFound for the app, Invalid for what does not fit it, and
        Conflict for a port that another has.
        """
        async with self._database.transaction() as tx:
            app = await existing_app(tx, request.app_id)
            first = await self._first_result(tx, request)
            if first is not None:
                return first
            deployment = await self._versions.add(tx, app, request.environment, request.spec, env=request.env)
            if request.key is not None:
                await deployments.remember_key(
                    tx,
                    app.id,
                    request.key,
                    request=await self._request_mark(request, request.key),
                    deployment_id=deployment.id,
                    now=deployment.created_at,
                )
        await self._versions.poke(deployment)
        return deployment

    async def change(
        self,
        deployment_id: DeploymentId,
        change: Callable[[Spec], Spec],
        *,
        env: Mapping[str, str | None] | None = None,
    ) -> Deployment:
        """Change the spec and own variables in place. What needs new tasks gets them one after the other.

        `replicas: 0` also lets it sleep now, until traffic wakes it. `env` is laid over the own variables;
        null takes one away. Raises NotFound, Invalid for an artifact that is not there and for too many
        variables, and Conflict if it has ended, was built of another artifact, or wants a port that
        another has.
        """
        now = self._clock.now()
        async with self._database.transaction() as tx:
            deployment = await self._live(tx, deployment_id, "change")
            spec = change(deployment.spec)
            _check_built(deployment, spec)
            _check_processes(deployment, spec)
            await check_artifact(tx, spec)
            owner = of_deployment(deployment.app_id, deployment.id)
            is_told_else = await self._boxes.lay(tx, owner, Wanted.over(env or {}), now=now)
            is_kept = _keeps_tasks(deployment, spec) and not is_told_else
            changed = replace(
                deployment,
                spec=spec,
                revision=deployment.revision + (0 if is_kept else 1),
                slept_at=now if spec.replicas == 0 else deployment.slept_at,
                updated_at=now,
            )
            await deployments.update_wishes(tx, changed, "changed")
            await self._versions.claim_port(tx, await existing_app(tx, changed.app_id), changed)
        await self._versions.poke(changed)
        return changed

    async def cancel(self, deployment_id: DeploymentId) -> Deployment:
        """End a deployment, pending or serving: it never wakes again. Repeatable.

        Raises Conflict when it failed or another has taken its place.
        """
        now = self._clock.now()
        async with self._database.transaction() as tx:
            deployment = await existing_deployment(tx, deployment_id)
            if deployment.state in UNSETTLED_DEPLOYMENT:
                deployment = await transitions.move_deployment(
                    tx, deployment, DeploymentState.CANCELLED, now=now, reason="cancelled on request"
                )
            elif deployment.state in SERVING_DEPLOYMENT:
                deployment = await transitions.move_deployment(
                    tx, deployment, DeploymentState.STOPPED, now=now, reason="stopped on request"
                )
            elif deployment.state is DeploymentState.FAILED:
                raise Conflict(
                    f"cannot cancel deployment {deployment_id}: it has failed already",
                    code="DEPLOYMENT_ENDED",
                )
        self._poke(deployment_id)
        return deployment

    async def sleep(self, deployment_id: DeploymentId) -> Deployment:
        """Let it sleep now: open requests end first, the next one wakes it."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            deployment = await self._serving(tx, deployment_id, "put to sleep")
            if not deployment.spec.cold_start_enabled:
                raise Conflict(
                    f"cannot put deployment {deployment_id} to sleep: cold_start_enabled is false",
                    code="COLD_START_DISABLED",
                    hint="set cold_start_enabled to true, or cancel the deployment",
                )
            deployment = replace(deployment, slept_at=now, updated_at=now)
            await deployments.update_wishes(tx, deployment, "sleep_requested")
        self._poke(deployment_id)
        return deployment

    async def wake(self, deployment_id: DeploymentId) -> Deployment:
        """Wake it as a request would; earlier failures to start are forgotten."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            deployment = await self._serving(tx, deployment_id, "wake")
            deployment = replace(deployment, woken_at=now, updated_at=now)
            await deployments.update_wishes(tx, deployment, "wake_requested")
        self._poke(deployment_id)
        return deployment

    async def restart(self, deployment_id: DeploymentId) -> Deployment:
        """Replace its tasks one after the other; one that was stopped is deployed anew.

        Returns the deployment that serves: the same, or a new version of a stopped one.
        """
        now = self._clock.now()
        async with self._database.transaction() as tx:
            deployment = await existing_deployment(tx, deployment_id)
            if deployment.state is DeploymentState.STOPPED:
                app = await existing_app(tx, deployment.app_id)
                result = await self._versions.add(
                    tx, app, deployment.environment, deployment.spec, env_of=deployment.id
                )
            else:
                deployment = await self._serving(tx, deployment_id, "restart")
                result = replace(deployment, revision=deployment.revision + 1, woken_at=now, updated_at=now)
                await deployments.update_wishes(tx, result, "restart_requested")
        await self._versions.poke(result)
        return result

    async def _first_result(self, tx: Tx, request: DeployRequest) -> Deployment | None:
        if request.key is None:
            return None
        seen = await deployments.recall_key(tx, request.app_id, request.key)
        if seen is None:
            return None
        mark, deployment_id = seen
        request_sha256 = (
            mark
            if isinstance(mark, str)
            else await self._vault.unseal(_request_owner(request.app_id), request.key, mark)
        )
        if request_sha256 != request.request_sha256:
            raise Invalid(
                "cannot deploy: this Idempotency-Key was used for another request",
                code="IDEMPOTENCY_KEY_REUSED",
                field="Idempotency-Key",
                hint="use a new key for a new request",
            )
        return await existing_deployment(tx, deployment_id)

    async def _request_mark(self, request: DeployRequest, key: str) -> str | Sealed:
        """Say what recognises a request: sealed if variables could be guessed from it."""
        if not request.env:
            return request.request_sha256
        return await self._vault.seal(_request_owner(request.app_id), key, request.request_sha256)

    async def _live(self, tx: Tx, deployment_id: DeploymentId, verb: str) -> Deployment:
        deployment = await existing_deployment(tx, deployment_id)
        if deployment.state not in LIVE_DEPLOYMENT:
            raise Conflict(
                f"cannot {verb} deployment {deployment_id}: it is {deployment.state}",
                code="DEPLOYMENT_ENDED",
                hint="deploy a new version",
            )
        return deployment

    async def _serving(self, tx: Tx, deployment_id: DeploymentId, verb: str) -> Deployment:
        deployment = await self._live(tx, deployment_id, verb)
        if deployment.state not in SERVING_DEPLOYMENT:
            raise Conflict(
                f"cannot {verb} deployment {deployment_id}: it is still {deployment.state}",
                code="DEPLOYMENT_PENDING",
                hint="wait until it is ready",
            )
        return deployment


def _request_owner(app_id: AppId) -> str:
    return f"request:{app_id}"


def _keeps_tasks(deployment: Deployment, new: Spec) -> bool:
    """Say whether running tasks can stay: only what concerns their number and sleep differs."""
    old = deployment.spec
    return new == replace(
        old,
        replicas=new.replicas,
        cold_start_enabled=new.cold_start_enabled,
        idle_timeout_secs=new.idle_timeout_secs,
        idle=new.idle,
        start_timeout_secs=new.start_timeout_secs,
        stop_grace_secs=new.stop_grace_secs,
        processes=new.processes if _same_commands(deployment, new) else old.processes,
        release=new.release,
        networking=replace(old.networking, proxy_port=new.networking.proxy_port),
    )


def _same_commands(deployment: Deployment, spec: Spec) -> bool:
    """Say whether every worker that there was and is runs what it did."""
    before = {worker.name: worker.command for worker in workers_of(deployment)}
    after = workers_of(replace(deployment, spec=spec))
    return all(worker.command == before.get(worker.name, worker.command) for worker in after)


def _check_processes(deployment: Deployment, spec: Spec) -> None:
    """Refuse to speak of a process that nobody says how to run, once that is known."""
    if deployment.state in (DeploymentState.QUEUED, DeploymentState.BUILDING):
        return
    unknown = unknown_in(replace(deployment, spec=spec))
    if unknown:
        known = ", ".join(sorted(deployment.processes)) or "none"
        raise Invalid(
            f"cannot change the process {unknown[0]}: there is none",
            field=f"processes.{unknown[0]}",
            hint=f"its Procfile names {known}; give a command for another",
        )


def _check_built(deployment: Deployment, spec: Spec) -> None:
    """Refuse another artifact or image once one was made ready: a version runs one thing for ever."""
    if deployment.state is DeploymentState.QUEUED:
        return
    for name in ("process_type", "artifact_id", "image"):
        if getattr(spec, name) != getattr(deployment.spec, name):
            raise Conflict(
                f"cannot change the {name} of deployment {deployment.id}: it is {deployment.state} already",
                code="ARTIFACT_FIXED",
                field=name,
                hint="deploy a new version",
            )
