"""SQL about what an earlier version wrote down unsealed: found, taken out, forgotten."""

from collections.abc import Iterable, Mapping

import msgspec

from paas.core.ids import AppId
from paas.core.model import Sealed
from paas.core.records import dataclass
from paas.core.variables import VariableOwner, of_defaults, of_deployment
from paas.store.database import Reader, Tx

PAGES = "pages"  # of the file: they hold what was there
REQUESTS = "requests"  # recognised by digests of all that they said

_env = msgspec.json.Decoder(dict[str, str | None])


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainVariables:
    """Variables that stand in a spec, as anybody may read them."""

    owner: VariableOwner
    env: Mapping[str, str | None]


async def places(reader: Reader) -> set[str]:
    """Name what is left to be done; usually nothing."""
    return {row["place"] for row in await reader.all("SELECT place FROM unsealed")}


async def forget(tx: Tx, *, but_for_pages: bool) -> None:
    """Note that all was sealed, or that the file holds nothing of it any more either."""
    await tx.write("DELETE FROM unsealed" + (f" WHERE place != '{PAGES}'" if but_for_pages else ""))


async def variables(tx: Tx) -> list[PlainVariables]:
    """Find the variables that stand in specs."""
    defaults = await tx.all(
        "SELECT id, json_extract(default_deployment_spec, '$.env') AS env FROM apps WHERE env IS NOT NULL"
    )
    own = await tx.all(
        "SELECT app_id, id, json_extract(spec, '$.env') AS env FROM deployments WHERE env IS NOT NULL"
    )
    return [
        *(PlainVariables(owner=of_defaults(row["id"]), env=_env.decode(row["env"])) for row in defaults),
        *(
            PlainVariables(owner=of_deployment(row["app_id"], row["id"]), env=_env.decode(row["env"]))
            for row in own
        ),
    ]


async def take_out_variables(tx: Tx) -> None:
    """Leave no variables in specs."""
    await tx.write(
        "UPDATE apps SET default_deployment_spec = json_remove(default_deployment_spec, '$.env')"
        " WHERE json_type(default_deployment_spec, '$.env') IS NOT NULL"
    )
    await tx.write(
        "UPDATE deployments SET spec = json_remove(spec, '$.env') WHERE json_type(spec, '$.env') IS NOT NULL"
    )


async def seal_requests(tx: Tx, digests: Iterable[tuple[tuple[AppId, str, str], Sealed]]) -> None:
    """Put boxes in the place of digests."""
    for (app_id, key, _), box in digests:
        await tx.write(
            "UPDATE idempotency_keys SET request_sha256 = '', key_id = ?, sealed_request = ?"
            " WHERE app_id = ? AND key = ?",
            (box.key_id, box.box, app_id, key),
        )


async def request_digests(tx: Tx) -> list[tuple[AppId, str, str]]:
    """Find the digests of requests: app, key, SHA-256."""
    found = await tx.all("SELECT app_id, key, request_sha256 FROM idempotency_keys WHERE key_id IS NULL")
    return [(row["app_id"], row["key"], row["request_sha256"]) for row in found]
