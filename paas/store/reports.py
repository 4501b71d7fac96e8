"""SQL about what GitHub is to be told."""

import sqlite3

from paas.core.builds import Build
from paas.core.ids import AppId
from paas.core.reports import Report
from paas.store import rows
from paas.store.database import Reader, Tx

_COLUMNS = "id, app_id, build_id, commit_id, pull_request, comment_id, told, attempts, failing_since, try_at"


async def add_commit(tx: Tx, build: Build, commit_id: str) -> None:
    """Have GitHub told how a commit fares that is built."""
    await tx.write(
        "INSERT INTO reports (app_id, build_id, commit_id) VALUES (?, ?, ?)",
        (build.app_id, build.id, commit_id),
    )


async def add_preview(tx: Tx, app_id: AppId, pull_request: int) -> None:
    """Have GitHub told where the preview of a pull request is, from now until it is gone."""
    await tx.write(
        "INSERT INTO reports (app_id, pull_request) VALUES (?, ?) ON CONFLICT (app_id, pull_request)"
        " WHERE build_id IS NULL DO UPDATE SET attempts = 0, failing_since = NULL, try_at = 0",
        (app_id, pull_request),
    )


async def all_open(reader: Reader) -> list[Report]:
    return [_report(row) for row in await reader.all(f"SELECT {_COLUMNS} FROM reports ORDER BY id")]


async def newest_build(reader: Reader, app_id: AppId, pull_request: int) -> Build | None:
    """Find the newest build of a pull request."""
    columns = ", ".join(f"builds.{name}" for name in rows.BUILD_COLUMNS.split(", "))
    row = await reader.one(
        f"SELECT {columns} FROM source_builds JOIN builds ON builds.id = source_builds.build_id"
        " WHERE source_builds.app_id = ? AND pull_request = ? ORDER BY created_at DESC, builds.id LIMIT 1",
        (app_id, pull_request),
    )
    return None if row is None else rows.build(row)


async def note_told(tx: Tx, report: Report, told: str, *, comment_id: int | None) -> None:
    await tx.write(
        "UPDATE reports SET told = ?, comment_id = ?, attempts = 0, failing_since = NULL, try_at = 0"
        " WHERE id = ?",
        (told, comment_id, report.id),
    )


async def note_failed(tx: Tx, report: Report, *, since: float, try_at: float) -> None:
    await tx.write(
        "UPDATE reports SET attempts = attempts + 1, failing_since = ?, try_at = ? WHERE id = ?",
        (since, try_at, report.id),
    )


async def delete(tx: Tx, report: Report) -> None:
    await tx.write("DELETE FROM reports WHERE id = ?", (report.id,))


def _report(row: sqlite3.Row) -> Report:
    return Report(**{key: row[key] for key in row.keys()})  # noqa: SIM118 - a Row iterates its values
