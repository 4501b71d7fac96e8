"""SQL about what webhooks brought."""

import msgspec

from paas.core.ids import AppId
from paas.core.source_config import Outcome
from paas.store import feed, rows
from paas.store.database import Reader, Tx

_outcome = msgspec.json.Decoder(Outcome)


async def insert(tx: Tx, delivery_id: str, event: str, outcome: Outcome, *, now: float) -> None:
    """Remember what came of a delivery for one app."""
    await tx.write(
        "INSERT INTO deliveries (app_id, id, outcome, received_at) VALUES (?, ?, ?, ?)",
        (outcome.app_id, delivery_id, rows.to_json(outcome), now),
    )
    await feed.append(
        tx,
        "delivery.received",
        at=now,
        app_id=outcome.app_id,
        reason=outcome.reason,
        facts={"delivery": delivery_id, "event": event, "action": outcome.action},
    )


async def outcome_of(reader: Reader, app_id: AppId, delivery_id: str) -> Outcome | None:
    text = await reader.value(
        "SELECT outcome FROM deliveries WHERE app_id = ? AND id = ?", (app_id, delivery_id)
    )
    return None if text is None else _outcome.decode(str(text))


async def have_ended(reader: Reader, app_id: AppId, slug: str) -> bool:
    """Say whether a delivery has had this environment deleted."""
    found = await reader.value(
        "SELECT count(*) FROM deliveries WHERE app_id = ? AND outcome ->> '$.action' = 'delete_environment'"
        " AND outcome ->> '$.environment' = ?",
        (app_id, slug),
    )
    return bool(found)


async def forget(tx: Tx, *, before: float) -> None:
    """Delete what came before a moment."""
    await tx.write("DELETE FROM deliveries WHERE received_at < ?", (before,))
