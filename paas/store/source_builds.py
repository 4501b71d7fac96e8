"""SQL about builds that a source config asked for: of which branch they are, or of which pull request."""

from paas.core.builds import Build
from paas.core.ids import AppId, BuildId
from paas.core.source_config import Origin
from paas.store import rows
from paas.store.database import Reader, Tx


async def insert(tx: Tx, build: Build, origin: Origin) -> None:
    await tx.write(
        "INSERT INTO source_builds (build_id, app_id, branch, pull_request, trigger_key, request_sha256)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            build.id,
            build.app_id,
            origin.branch,
            origin.pull_request,
            origin.key,
            origin.request_sha256 if origin.key is not None else None,
        ),
    )


async def by_key(reader: Reader, app_id: AppId, key: str) -> tuple[BuildId, str] | None:
    """Find the build that a request with this key asked for first, and what the request was."""
    row = await reader.one(
        "SELECT build_id, request_sha256 FROM source_builds WHERE app_id = ? AND trigger_key = ?",
        (app_id, key),
    )
    return None if row is None else (row["build_id"], row["request_sha256"])


async def succeeded(reader: Reader, app_id: AppId, *, branch: str) -> list[Build]:
    """List an app's successful builds of a branch, newest first; those of pull requests are none."""
    columns = ", ".join(f"builds.{name}" for name in rows.BUILD_COLUMNS.split(", "))
    found = await reader.all(
        f"SELECT {columns} FROM source_builds JOIN builds ON builds.id = source_builds.build_id"
        " WHERE source_builds.app_id = ? AND branch = ? AND pull_request IS NULL AND state = 'succeeded'"
        " ORDER BY builds.ended_at DESC",
        (app_id, branch),
    )
    return [rows.build(row) for row in found]
