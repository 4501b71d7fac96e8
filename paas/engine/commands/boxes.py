"""Write variables of one owner, in the transaction of whoever changes more than them."""

import contextlib
from collections.abc import Collection, Iterable, Mapping

from paas.core.errors import Invalid, Unavailable
from paas.core.ids import AppId, DeploymentId
from paas.core.model import Sealed
from paas.core.records import dataclass, field
from paas.core.variables import Boxed, VariableOwner, of_deployment
from paas.specs.fields import MOST_VARIABLES
from paas.specs.reading import LARGEST_ENVIRON_BYTES
from paas.store import variables
from paas.store.database import Tx
from paas.vault import Place, Vault, size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be of an owner's variables; what is not named stays."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    taken_away: Collection[str] = ()  # though a lower level sets it
    deleted: Collection[str] = ()  # what a lower level sets shows again
    secret: bool | None = None  # None: as each was; a new one is none

    @classmethod
    def over(cls, given: Mapping[str, str | None]) -> "Wanted":
        """Take what a deployment's `env` says, where null takes away."""
        return cls(
            values={name: value for name, value in given.items() if value is not None},
            taken_away=[name for name, value in given.items() if value is None],
        )


class Boxes:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def lay(self, tx: Tx, owner: VariableOwner, wanted: Wanted, *, now: float) -> bool:
        """Write what differs, with its event, and say whether anything did. Raises Invalid for too much."""
        if not (wanted.values or wanted.taken_away or wanted.deleted):
            return False
        kept = {box.name: box for box in await variables.of_owners(tx, [owner])}
        values = self._readable(kept[name] for name in wanted.values if name in kept)
        changed = {
            name: value
            for name, value in wanted.values.items()
            if values.get(name) != value or kept[name].is_secret is not _is_secret(wanted, kept, name)
        }
        covered = [name for name in wanted.taken_away if name not in kept or kept[name].sealed is not None]
        gone = [name for name in wanted.deleted if name in kept]
        _check_size(kept, wanted)
        if not (changed or covered or gone):
            return False
        sealed = await self._vault.seal_all(
            [(Place(owner=owner.key, name=name), value) for name, value in changed.items()]
        )
        boxes = [
            Boxed(owner=owner.key, name=name, is_secret=_is_secret(wanted, kept, name), sealed=box)
            for name, box in zip(changed, sealed, strict=True)
        ]
        boxes += [Boxed(owner=owner.key, name=name, is_secret=False, sealed=None) for name in covered]
        await variables.put(tx, owner, boxes, now=now)
        await variables.delete(tx, owner, gone)
        await variables.note_change(tx, owner, now=now, set_names=changed, deleted_names=[*covered, *gone])
        return True

    async def copy(
        self, tx: Tx, app_id: AppId, source: DeploymentId, to: VariableOwner, *, now: float
    ) -> None:
        """Give a deployment all that another one of the same app sets itself, secrets included."""
        found = await variables.of_owners(tx, [of_deployment(app_id, source)])
        values = {box.name: self._open(box, box.sealed) for box in found if box.sealed is not None}
        sealed = await self._vault.seal_all(
            [(Place(owner=to.key, name=name), value) for name, value in values.items()]
        )
        by_name = dict(zip(values, sealed, strict=True))
        await variables.put(
            tx,
            to,
            [
                Boxed(owner=to.key, name=box.name, is_secret=box.is_secret, sealed=by_name.get(box.name))
                for box in found
            ],
            now=now,
        )

    def _readable(self, boxes: Iterable[Boxed]) -> dict[str, str]:
        """Open what can be: what is broken is mended by setting it again."""
        values = {}
        for box in boxes:
            if box.sealed is not None:
                with contextlib.suppress(Unavailable):
                    values[box.name] = self._open(box, box.sealed)
        return values

    def _open(self, box: Boxed, sealed: Sealed) -> str:
        return self._vault.open(Place(owner=box.owner, name=box.name), sealed)


def _is_secret(wanted: Wanted, kept: Mapping[str, Boxed], name: str) -> bool:
    """Say whether a variable is to be a secret: what is one stays one unless it is said that it is none."""
    if wanted.secret is not None:
        return wanted.secret
    return name in kept and kept[name].is_secret


def _check_size(kept: Mapping[str, Boxed], wanted: Wanted) -> None:
    sizes = {name: size_bytes(box.sealed) for name, box in kept.items() if box.sealed is not None}
    sizes |= {name: len(value.encode()) for name, value in wanted.values.items()}
    for name in (*wanted.taken_away, *wanted.deleted):
        sizes.pop(name, None)
    size = sum(len(name) + value for name, value in sizes.items())
    if size > LARGEST_ENVIRON_BYTES:
        raise Invalid(
            f"cannot set the variables: they have {size} bytes, {LARGEST_ENVIRON_BYTES} are allowed",
            field="env",
        )
    if len(sizes) > MOST_VARIABLES:
        raise Invalid(
            f"cannot set the variables: they are {len(sizes)}, {MOST_VARIABLES} are allowed", field="env"
        )
