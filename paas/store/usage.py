"""SQL about what apps were measured to use. Measurements, no states: they have no events."""

from collections.abc import Collection

from paas.core.ids import AppId
from paas.core.live import Measured
from paas.store import rows
from paas.store.database import Reader, Tx


async def note(tx: Tx, app_id: AppId, seen: Measured) -> None:
    """Add up an app's crashes and kills, and keep its highest peak; nothing for an app that is gone."""
    await tx.write(
        "INSERT INTO app_usage (app_id, memory_peak_bytes, crashes, oom_kills)"
        " SELECT id, ?2, ?3, ?4 FROM apps WHERE id = ?1"
        " ON CONFLICT (app_id) DO UPDATE SET"
        " memory_peak_bytes = max(memory_peak_bytes, excluded.memory_peak_bytes),"
        " crashes = crashes + excluded.crashes, oom_kills = oom_kills + excluded.oom_kills",
        (app_id, seen.memory_peak_bytes, seen.crashes, seen.oom_kills),
    )


async def of_apps(reader: Reader, app_ids: Collection[AppId]) -> dict[AppId, Measured]:
    """Read what is kept of some apps; those never measured are absent."""
    return await _read(
        reader, "WHERE app_id IN (SELECT value FROM json_each(?))", (rows.to_json(list(app_ids)),)
    )


async def of_all(reader: Reader) -> dict[AppId, Measured]:
    return await _read(reader, "", ())


async def _read(reader: Reader, where: str, values: tuple[str, ...]) -> dict[AppId, Measured]:
    found = await reader.all(
        f"SELECT app_id, memory_peak_bytes, crashes, oom_kills FROM app_usage {where}", values
    )
    return {
        row["app_id"]: Measured(
            memory_peak_bytes=row["memory_peak_bytes"], crashes=row["crashes"], oom_kills=row["oom_kills"]
        )
        for row in found
    }
