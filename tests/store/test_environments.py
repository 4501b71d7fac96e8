"""Environments that were there before they had hosts."""

import sqlite3
from importlib import resources
from pathlib import Path

from paas.core.ids import AppId, new_app_id
from paas.store import environments
from paas.store.database import Database


def old_database(path: Path, apps: dict[str, AppId]) -> None:
    """Make a database as it was before, with apps by their subdomain."""
    steps = sorted(
        (item for item in resources.files("paas.store.migrations").iterdir() if item.name.endswith(".sql")),
        key=lambda item: item.name,
    )
    before = [step for step in steps if step.name < "0010"]
    with sqlite3.connect(path) as raw:
        for step in before:
            raw.executescript(step.read_text())
        raw.execute(f"PRAGMA user_version = {len(before)}")
        for subdomain, app_id in apps.items():
            raw.execute(
                "INSERT INTO apps (id, name, namespace, subdomain, labels, wake_policy, created_at,"
                " updated_at) VALUES (?, ?, 'default', ?, '{}', '{}', 1, 1)",
                (app_id, subdomain, subdomain),
            )
            raw.executemany(
                "INSERT INTO environments (app_id, slug, created_at) VALUES (?, ?, 1)",
                [(app_id, "production"), (app_id, "development")],
            )
    raw.close()


async def test_old_environments_get_hosts_that_no_app_has(tmp_path: Path) -> None:
    long = "x" * 60
    apps = {name: new_app_id() for name in ("a-b", "a-b-production", long)}
    old_database(tmp_path / "paas.db", apps)

    async with Database.open(tmp_path / "paas.db") as database:
        found = {
            (subdomain, each.slug): each.label
            for subdomain, app_id in apps.items()
            for each in (await environments.page(database.reader, app_id, limit=10, offset=0))[0]
        }

    assert found == {
        ("a-b", "production"): None,
        ("a-b", "development"): "a-b-development",
        ("a-b-production", "production"): "a-b-production-production",
        ("a-b-production", "development"): "a-b-production-development",
        (long, "production"): f"{'x' * 43}-{apps[long][:8]}-production",
        (long, "development"): f"{'x' * 42}-{apps[long][:8]}-development",
    }
