"""SQL about variables. Values come and go sealed."""

import sqlite3
from collections.abc import Iterable

from paas.core.ids import AppId, DeploymentId
from paas.core.model import Sealed
from paas.core.variables import Boxed, Variable, VariableOwner, by_weight
from paas.store import feed
from paas.store.database import Reader, Tx
from paas.store.deployments import LIVE
from paas.store.rows import to_json

_COLUMNS = "owner, name, is_secret, key_id, sealed_value"

_FORMER_KEPT = 20  # values of one secret

# Whose variables concern a task of deployment d.
_OWNERS = (
    "'default:' || d.app_id",
    "'app:' || d.app_id",
    "'environment:' || d.app_id || ':' || d.environment",
    "'deployment:' || d.id",
)
_EACH = " UNION ALL ".join(f"SELECT {_COLUMNS} FROM variables WHERE owner = {owner}" for owner in _OWNERS)
# They as one value of a joined row: a list of [owner, name, is_secret, key, box in hexadecimal]; NULL where
# nothing of the app has any, which one look at an index tells.
OF_DEPLOYMENT = (
    "CASE WHEN EXISTS (SELECT 1 FROM variables WHERE app_id = d.app_id) THEN"
    " (SELECT json_group_array(json_array(owner, name, is_secret, key_id, hex(sealed_value)))"
    f" FROM ({_EACH}))"
    " END"
)


async def of_owners(reader: Reader, owners: Iterable[VariableOwner]) -> list[Boxed]:
    """Read the variables of some owners, those that win last."""
    found = await reader.all(
        f"SELECT {_COLUMNS} FROM variables WHERE owner IN (SELECT value FROM json_each(?))",
        (to_json([owner.key for owner in owners]),),
    )
    return by_weight(map(_boxed, found))


async def some_are_set(reader: Reader) -> bool:
    return await reader.one("SELECT 1 FROM variables LIMIT 1") is not None


async def secrets_of(reader: Reader, deployment_id: DeploymentId) -> list[Boxed]:
    """Read the secrets that tasks of a deployment are told, or were, or would be if nothing covered them."""
    owners = f"(SELECT value FROM deployments d, json_each(json_array({', '.join(_OWNERS)})) WHERE d.id = ?1)"
    found = await reader.all(
        f"SELECT {_COLUMNS} FROM variables"
        f" WHERE owner IN {owners} AND is_secret AND sealed_value IS NOT NULL"
        " UNION ALL SELECT owner, name, 1 AS is_secret, key_id, sealed_value FROM former_secrets"
        f" WHERE owner IN {owners}",
        (deployment_id,),
    )
    return list(map(_boxed, found))


async def listed(reader: Reader, owner: VariableOwner) -> list[Variable]:
    """List the variables of one owner by name."""
    found = await reader.all(
        f"SELECT {_COLUMNS}, created_at, updated_at FROM variables WHERE owner = ? ORDER BY name",
        (owner.key,),
    )
    return [
        Variable(boxed=_boxed(row), created_at=row["created_at"], updated_at=row["updated_at"])
        for row in found
    ]


async def put(tx: Tx, owner: VariableOwner, boxes: Iterable[Boxed], *, now: float) -> None:
    """Set variables of one owner. The caller adds the event that says so."""
    boxes = list(boxes)
    await _keep_former(tx, owner, [box.name for box in boxes])
    for box in boxes:
        await tx.write(
            f"INSERT INTO variables ({_COLUMNS}, app_id, environment, deployment_id, created_at, updated_at)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)"
            " ON CONFLICT (owner, name) DO UPDATE SET is_secret = ?3, key_id = ?4, sealed_value = ?5,"
            " updated_at = ?9",
            (
                owner.key,
                box.name,
                int(box.is_secret),
                None if box.sealed is None else box.sealed.key_id,
                None if box.sealed is None else box.sealed.box,
                owner.app_id,
                owner.environment,
                owner.deployment_id,
                now,
            ),
        )


async def delete(tx: Tx, owner: VariableOwner, names: Iterable[str]) -> None:
    """Forget variables of one owner. The caller adds the event that says so."""
    names = list(names)
    await _keep_former(tx, owner, names)
    await tx.write(
        "DELETE FROM variables WHERE owner = ? AND name IN (SELECT value FROM json_each(?))",
        (owner.key, to_json(names)),
    )


async def _keep_former(tx: Tx, owner: VariableOwner, names: list[str]) -> None:
    """Keep what secrets say that are about to say something else: it is still to be hidden in logs."""
    kept = await tx.write(
        "INSERT INTO former_secrets (owner, name, app_id, deployment_id, key_id, sealed_value)"
        " SELECT owner, name, app_id, deployment_id, key_id, sealed_value FROM variables"
        " WHERE owner = ? AND name IN (SELECT value FROM json_each(?))"
        " AND is_secret AND sealed_value IS NOT NULL",
        (owner.key, to_json(names)),
    )
    if kept:
        await tx.write(
            "DELETE FROM former_secrets WHERE owner = ?1 AND id NOT IN (SELECT id FROM (SELECT id,"
            " row_number() OVER (PARTITION BY name ORDER BY id DESC) AS place FROM former_secrets"
            f" WHERE owner = ?1) WHERE place <= {_FORMER_KEPT})",
            (owner.key,),
        )


async def note_change(
    tx: Tx, owner: VariableOwner, *, now: float, set_names: Iterable[str], deleted_names: Iterable[str]
) -> None:
    """Add the event `variables.changed`: which, and never what they say."""
    facts: dict[str, object] = {
        "level": owner.level,
        "set": sorted(set_names),
        "deleted": sorted(deleted_names),
    }
    if owner.environment is not None:
        facts["environment"] = owner.environment
    await feed.append(
        tx, "variables.changed", at=now, app_id=owner.app_id, deployment_id=owner.deployment_id, facts=facts
    )


async def bump_revisions(tx: Tx, owner: VariableOwner, *, now: float) -> list[DeploymentId]:
    """Let the live deployments that an owner's variables concern have new tasks, and name them."""
    where = {"environment": owner.environment, "id": owner.deployment_id}
    wanted = {column: value for column, value in where.items() if value is not None}
    found = await tx.all(
        "UPDATE deployments SET revision = revision + 1, updated_at = ? WHERE app_id = ?"
        f"{''.join(f' AND {column} = ?' for column in wanted)}"
        f" AND state IN {LIVE} RETURNING id",
        (now, owner.app_id, *wanted.values()),
    )
    return [row["id"] for row in found]


async def defaults_of(reader: Reader, app_ids: Iterable[AppId]) -> list[tuple[AppId, Boxed]]:
    """Read what the default_deployment_spec of some apps sets."""
    found = await reader.all(
        f"SELECT app_id, {_COLUMNS} FROM variables"
        " WHERE owner IN (SELECT 'default:' || value FROM json_each(?)) ORDER BY name",
        (to_json(list(app_ids)),),
    )
    return [(row["app_id"], _boxed(row)) for row in found]


async def own_of(reader: Reader, deployment_ids: Iterable[DeploymentId]) -> list[tuple[DeploymentId, Boxed]]:
    """Read the own variables of some deployments."""
    found = await reader.all(
        f"SELECT deployment_id, {_COLUMNS} FROM variables"
        " WHERE owner IN (SELECT 'deployment:' || value FROM json_each(?)) ORDER BY name",
        (to_json(list(deployment_ids)),),
    )
    return [(row["deployment_id"], _boxed(row)) for row in found]


def _boxed(row: sqlite3.Row) -> Boxed:
    box = row["sealed_value"]
    return Boxed(
        owner=row["owner"],
        name=row["name"],
        is_secret=bool(row["is_secret"]),
        sealed=None if box is None else Sealed(key_id=row["key_id"], box=box),
    )
