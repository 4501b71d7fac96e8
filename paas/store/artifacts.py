"""SQL about artifacts."""

from paas.core.ids import ArtifactId
from paas.core.model import Artifact
from paas.core.states import LIVE_DEPLOYMENT
from paas.store import feed, rows
from paas.store.database import Reader, Tx

LIVE = "(" + ", ".join(f"'{state}'" for state in sorted(LIVE_DEPLOYMENT)) + ")"


async def insert(tx: Tx, artifact: Artifact) -> None:
    await tx.write(
        f"INSERT INTO artifacts ({rows.ARTIFACT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            artifact.id,
            artifact.name,
            artifact.content_type,
            artifact.size_bytes,
            artifact.sha256,
            artifact.created_at,
            artifact.uploaded_at,
        ),
    )
    facts: dict[str, object] = {"artifact_id": artifact.id}
    await feed.append(tx, "artifact.created", at=artifact.created_at, facts=facts)
    if artifact.sha256 is not None:
        facts |= {"size_bytes": artifact.size_bytes}
        await feed.append(tx, "artifact.uploaded", at=artifact.created_at, facts=facts)


async def fill(tx: Tx, artifact_id: ArtifactId, *, sha256: str, size_bytes: int, now: float) -> bool:
    """Note what was uploaded; False if the artifact has its bytes already or is gone."""
    changed = await tx.write(
        "UPDATE artifacts SET sha256 = ?, size_bytes = ?, uploaded_at = ? WHERE id = ? AND sha256 IS NULL",
        (sha256, size_bytes, now, artifact_id),
    )
    if changed:
        await feed.append(
            tx, "artifact.uploaded", at=now, facts={"artifact_id": artifact_id, "size_bytes": size_bytes}
        )
    return bool(changed)


async def get(reader: Reader, artifact_id: ArtifactId) -> Artifact | None:
    row = await reader.one(f"SELECT {rows.ARTIFACT_COLUMNS} FROM artifacts WHERE id = ?", (artifact_id,))
    return None if row is None else rows.artifact(row)


async def page(reader: Reader, *, limit: int, offset: int) -> tuple[list[Artifact], int]:
    found = await reader.all(
        f"SELECT {rows.ARTIFACT_COLUMNS} FROM artifacts ORDER BY created_at DESC, id LIMIT ? OFFSET ?",
        (limit, offset),
    )
    return [rows.artifact(row) for row in found], int(
        await reader.value("SELECT count(*) FROM artifacts") or 0
    )


async def contents(reader: Reader) -> set[str]:
    """Name the SHA-256 of every artifact that has its bytes."""
    rows_found = await reader.all("SELECT DISTINCT sha256 FROM artifacts WHERE sha256 IS NOT NULL")
    return {row["sha256"] for row in rows_found}


async def user_of(reader: Reader, artifact_id: ArtifactId) -> str | None:
    """Name a live deployment that runs this artifact."""
    value = await reader.value(
        f"SELECT id FROM deployments WHERE artifact_id = ? AND state IN {LIVE} LIMIT 1", (artifact_id,)
    )
    return None if value is None else str(value)


async def delete(tx: Tx, artifact: Artifact, *, now: float) -> bool:
    """Delete the record, and say whether its bytes have no other owner."""
    await tx.write("DELETE FROM artifacts WHERE id = ?", (artifact.id,))
    await feed.append(tx, "artifact.deleted", at=now, facts={"artifact_id": artifact.id})
    return await tx.value("SELECT 1 FROM artifacts WHERE sha256 = ? LIMIT 1", (artifact.sha256,)) is None
