"""Who has the first label of a host: no two may, and whoever comes second is refused."""

import re

from paas.store import apps
from paas.store.database import Reader
from paas.store.deployments import LIVE

_SHA = re.compile(r"-(?=([0-9a-f]{8})-)")


async def holder(reader: Reader, label: str) -> str | None:
    """Say who has a label: an app, an environment of one, or a version that still may serve."""
    return await name_holder(reader, label) or await _version_with(reader, label)


async def name_holder(reader: Reader, label: str) -> str | None:
    """Say which app or environment has a label."""
    app = await apps.by_subdomain(reader, label)
    if app is not None:
        return f"{app.namespace}/{app.name}"
    row = await reader.one(
        "SELECT a.namespace, a.name, e.slug FROM environments e JOIN apps a ON a.id = e.app_id"
        " WHERE e.label = ?",
        (label,),
    )
    return None if row is None else f"the environment {row['slug']} of {row['namespace']}/{row['name']}"


async def _version_with(reader: Reader, label: str) -> str | None:
    """Find a version by its preview host. Few names look like one, and only those are searched for."""
    for match in _SHA.finditer(label):
        row = await reader.one(
            "SELECT a.namespace, a.name, d.version FROM deployments d JOIN apps a ON a.id = d.app_id"
            f" WHERE d.sha = ? AND d.environment = ? AND d.state IN {LIVE}"
            " AND lower(a.name) = ? AND a.deleted_at IS NULL",
            (match[1], label[match.end() + len(match[1]) + 1 :], label[: match.start()]),
        )
        if row is not None:
            return f"version {row['version']} of {row['namespace']}/{row['name']}"
    return None
