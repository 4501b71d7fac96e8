"""Builds that an earlier version wrote are read as builds of archives."""

import sqlite3
from importlib import resources
from pathlib import Path

from paas.core.builds import DOCKERFILE, BuildOptions, Source
from paas.core.ids import BuildId
from paas.core.states import BuildState
from paas.store import builds
from paas.store.database import Database

VERSION = 7  # before builds knew of other sources
OPTIONS = '{"dockerfile":"web/Dockerfile","target":null,"args":{"A":"1"},"no_cache":false}'


def write_old(path: Path) -> None:
    steps = sorted(item.name for item in resources.files("paas.store.migrations").iterdir())
    with sqlite3.connect(path) as raw:
        for name in [step for step in steps if step.endswith(".sql")][:VERSION]:
            raw.executescript(resources.files("paas.store.migrations").joinpath(name).read_text())
        raw.execute(f"PRAGMA user_version = {VERSION}")
        raw.execute(
            "INSERT INTO apps (id, name, namespace, subdomain, labels, wake_policy, created_at, updated_at)"
            " VALUES ('a', 'hello', 'default', 'hello-default', '{}', '{}', 1, 1)"
        )
        raw.execute(
            "INSERT INTO builds VALUES"
            " ('b', 'a', 'succeeded', NULL, ?, 'abc', 7, 'paas/hello:b', 'sha256:1', 9, 1, 2, 3, 3)",
            (OPTIONS,),
        )


async def test_builds_of_before_are_read(tmp_path: Path) -> None:
    write_old(tmp_path / "paas.db")

    async with Database.open(tmp_path / "paas.db") as database:
        build = await builds.get(database.reader, BuildId("b"))

    assert build is not None
    assert build.source == Source(kind="archive", sha256="abc", size_bytes=7)
    assert build.options == BuildOptions(dockerfile="web/Dockerfile", args={"A": "1"})
    assert (build.state, build.recipe, build.environment) == (BuildState.SUCCEEDED, DOCKERFILE, "development")
    assert (build.image, build.image_id, build.image_bytes) == ("paas/hello:b", "sha256:1", 9)
