"""Create, change and delete apps."""

from collections.abc import Callable, Mapping

from paas.core import hosts
from paas.core.errors import Invalid, NotFound
from paas.core.ids import AppId, DeploymentId, new_app_id
from paas.core.model import App, WakePolicy
from paas.core.ports import Clock
from paas.core.records import replace
from paas.core.variables import of_defaults
from paas.engine.commands.boxes import Boxes, Wanted
from paas.engine.commands.ending import cancel_builds, end_deployments
from paas.engine.commands.naming import refuse_taken_app
from paas.store import apps, builds, deployments, variables
from paas.store.database import Database, Tx


class AppCommands:
    def __init__(
        self, database: Database, clock: Clock, poke: Callable[[DeploymentId], None], boxes: Boxes
    ) -> None:
        self._database = database
        self._boxes = boxes
        self._clock = clock
        self._poke = poke

    async def create(
        self,
        *,
        name: str,
        namespace: str,
        description: str | None = None,
        labels: Mapping[str, str] | None = None,
        default_deployment_spec: Mapping[str, object] | None = None,
        wake_policy: WakePolicy | None = None,
    ) -> App:
        """Create an app. Raises Conflict if a host of it is taken, Invalid if it fits none.

        What `default_deployment_spec` has as `env` becomes variables.
        """
        spec, env = _apart(default_deployment_spec)
        subdomain = hosts.subdomain(name, namespace)
        if len(subdomain) > hosts.LONGEST_LABEL:
            raise Invalid(
                f"cannot create app {name}: its host label {subdomain} has {len(subdomain)} characters",
                field="name",
                hint=f"name and namespace together may have {hosts.LONGEST_LABEL - 1}",
            )
        now = self._clock.now()
        app = App(
            id=new_app_id(),
            name=name,
            namespace=namespace,
            subdomain=subdomain,
            description=description,
            labels=labels or {},
            default_deployment_spec=spec,
            wake_policy=wake_policy or WakePolicy(),
            created_at=now,
            updated_at=now,
        )
        async with self._database.transaction() as tx:
            await refuse_taken_app(tx, app, apps.FIRST_ENVIRONMENTS)
            await apps.insert(tx, app)
            await self._boxes.lay(tx, of_defaults(app.id), Wanted(values=env), now=now)
        return app

    async def update(
        self,
        app_id: AppId,
        *,
        description: str | None = None,
        labels: Mapping[str, str] | None = None,
        default_deployment_spec: Mapping[str, object] | None = None,
        wake_policy: WakePolicy | None = None,
    ) -> App:
        """Change what is given and leave the rest. Raises NotFound.

        A `default_deployment_spec` replaces the one of before with its `env`: what runs with another is
        replaced.
        """
        spec, env = _apart(default_deployment_spec)
        now = self._clock.now()
        async with self._database.transaction() as tx:
            app = await _existing(tx, app_id)
            changed = replace(
                app,
                description=app.description if description is None else description,
                labels=app.labels if labels is None else labels,
                default_deployment_spec=app.default_deployment_spec if spec is None else spec,
                wake_policy=app.wake_policy if wake_policy is None else wake_policy,
                updated_at=now,
            )
            await apps.update(tx, changed)
            if spec is not None:
                owner = of_defaults(app_id)
                known = {box.name for box in await variables.of_owners(tx, [owner])}
                wanted = Wanted(values=env, deleted=known - env.keys())
                if await self._boxes.lay(tx, owner, wanted, now=now):
                    await variables.bump_revisions(tx, owner, now=now)
            live = await deployments.live_of_app(tx, app_id)
        for deployment in live:
            self._poke(deployment.id)
        return changed

    async def delete(self, app_id: AppId) -> None:
        """Stop everything of an app and forget it. Its name is free at once. Raises NotFound."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            await _existing(tx, app_id)
            await apps.mark_deleted(tx, app_id, now=now)
            known = await deployments.of_app(tx, app_id, below_version=None, limit=2**31)
            await end_deployments(tx, known, now=now, reason="its app was deleted")
            unfinished = await builds.unfinished_of(tx, app_id)
            await cancel_builds(tx, unfinished, now=now, reason="its app was deleted")
        for deployment in known:
            self._poke(deployment.id)


def _apart(
    default_deployment_spec: Mapping[str, object] | None,
) -> tuple[Mapping[str, object] | None, Mapping[str, str]]:
    """Take the variables out of a default_deployment_spec, since they are sealed."""
    if default_deployment_spec is None:
        return None, {}
    spec = dict(default_deployment_spec)
    env = spec.pop("env", None)
    if not isinstance(env, Mapping):
        return spec, {}
    return spec, {name: value for name, value in env.items() if value is not None}


async def _existing(tx: Tx, app_id: AppId) -> App:
    app = await apps.get(tx, app_id)
    if app is None:
        raise NotFound(f"no app has the id {app_id}", code="APP_NOT_FOUND")
    return app
