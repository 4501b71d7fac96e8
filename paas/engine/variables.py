"""Where the vault and the store meet: what the variables of apps say."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from paas.core.errors import Unavailable
from paas.core.ids import AppId, DeploymentId
from paas.core.masking import NOTHING, Mask
from paas.core.model import Deployment
from paas.core.records import dataclass, field
from paas.core.variables import Boxed, VariableOwner, laid_over, of_app, of_environment
from paas.store import variables
from paas.store.database import Reader
from paas.vault import Place, Vault

AT_ONCE = 100  # boxes that are opened in less than a millisecond


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildVariables:
    """What a build sees. `digest` names it, "" if it is nothing: from it nobody guesses a value."""

    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    mask: Mask = NOTHING
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A variable as people see it. No value: it is a secret, or takes away what a lower level sets."""

    name: str
    is_secret: bool
    value: str | None = field(repr=False)
    created_at: float
    updated_at: float


class Variables:
    """Opens what is sealed; raises Unavailable for a box that is broken or not in its place."""

    def __init__(self, reader: Reader, vault: Vault) -> None:
        self._reader = reader
        self._vault = vault

    def env_of(self, boxes: Iterable[Boxed]) -> dict[str, str]:
        """Open and merge the variables of a task, those that win last. Microseconds each."""
        told: dict[str, str] = {}
        for box in boxes:
            if box.sealed is None:
                told.pop(box.name, None)
            else:
                told[box.name] = self._vault.open(Place(owner=box.owner, name=box.name), box.sealed)
        return told

    async def env_of_many(self, boxes: Sequence[Boxed]) -> dict[str, str]:
        """Open and merge likewise, off the event loop where it would take long."""
        if len(boxes) <= AT_ONCE:
            return self.env_of(boxes)
        return await asyncio.to_thread(self.env_of, boxes)

    async def shown(self, owner: VariableOwner) -> list[Shown]:
        """List an owner's variables by name; secrets without their values."""
        listed = await variables.listed(self._reader, owner)
        values = await self.env_of_many([each.boxed for each in listed if not each.boxed.is_secret])
        return [
            Shown(
                name=each.boxed.name,
                is_secret=each.boxed.is_secret,
                value=values.get(each.boxed.name),
                created_at=each.created_at,
                updated_at=each.updated_at,
            )
            for each in listed
        ]

    async def default_env(self, app_ids: Collection[AppId]) -> Mapping[AppId, Mapping[str, str]]:
        """Open what the default_deployment_spec of some apps sets; those without are absent."""
        boxes: dict[AppId, list[Boxed]] = defaultdict(list)
        for app_id, box in await variables.defaults_of(self._reader, app_ids):
            boxes[app_id].append(box)
        return {app_id: await self._readable(of_one) for app_id, of_one in boxes.items()}

    async def env_of_specs(
        self, deployments: Collection[Deployment]
    ) -> Mapping[DeploymentId, Mapping[str, str]]:
        """Open what deployments set themselves, over their apps' defaults, but for secrets."""
        own: dict[DeploymentId, list[Boxed]] = defaultdict(list)
        for deployment_id, box in await variables.own_of(self._reader, [each.id for each in deployments]):
            own[deployment_id].append(box)
        defaults = await self.default_env({each.app_id for each in deployments})
        shown: dict[DeploymentId, Mapping[str, str]] = {}
        for each in deployments:
            boxes = own[each.id]
            values = await self._readable([box for box in boxes if not box.is_secret])
            covered = {box.name: values.get(box.name) for box in boxes}
            shown[each.id] = laid_over(defaults.get(each.app_id, {}), covered)
        return shown

    async def mask_of(self, deployment_id: DeploymentId) -> Mask:
        """Make what hides the secrets of a deployment's tasks."""
        return await self._mask(await variables.secrets_of(self._reader, deployment_id))

    async def for_build(self, app_id: AppId, environment: str) -> BuildVariables:
        """Open what a build of an app for an environment sees: the app's and the environment's variables."""
        boxes = await variables.of_owners(self._reader, (of_app(app_id), of_environment(app_id, environment)))
        if not boxes:
            return BuildVariables()
        env = await self.env_of_many(boxes)
        return BuildVariables(
            env=env,
            mask=await self._mask([box for box in boxes if box.is_secret]),
            digest=await self._vault.digest(msgspec.json.encode(env, order="deterministic").decode()),
        )

    async def _mask(self, secrets: Iterable[Boxed]) -> Mask:
        """Hide the secrets of all levels, also what another one covers."""
        values = [value for box in secrets for value in (await self._readable([box])).values()]
        return Mask(values) if values else NOTHING

    async def _readable(self, boxes: Sequence[Boxed]) -> dict[str, str]:
        """Open all that can be: what is broken is for its own task to say, not for every list."""
        values: dict[str, str] = {}
        for start in range(0, len(boxes), AT_ONCE):
            for box in boxes[start : start + AT_ONCE]:
                with contextlib.suppress(Unavailable):
                    values |= self.env_of([box])
            if start:
                await asyncio.sleep(0)  # others have their turn
        return values
