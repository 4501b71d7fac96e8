"""Registries in the database: one a host, with an event for each change and no secret in it."""

from paas.core.model import Registry, Sealed
from paas.core.records import replace
from paas.store import registries, sealed
from paas.store.database import Database
from paas.store.feed import Feed

GHCR = Registry(host="ghcr.io", username="ann", created_at=1.0, updated_at=1.0)
BOX = Sealed(key_id="k1", box=b"\x00\xffbox")


async def put(database: Database, registry: Registry, sealed: Sealed = BOX) -> Registry:
    async with database.transaction() as tx:
        return await registries.put(tx, registry, sealed)


async def test_a_registry_is_kept_with_its_box(database: Database) -> None:
    assert await put(database, GHCR) == GHCR

    assert await registries.get(database.reader, "ghcr.io") == GHCR
    assert await registries.login(database.reader, "ghcr.io") == ("ann", BOX)
    assert await registries.get(database.reader, "docker.io") is None
    assert await registries.login(database.reader, "docker.io") is None


async def test_a_second_one_of_a_host_replaces_the_first_but_for_its_birth(database: Database) -> None:
    other = Sealed(key_id="k2", box=b"other")
    await put(database, GHCR)

    kept = await put(database, replace(GHCR, username="bob", created_at=2.0, updated_at=2.0), other)

    assert kept == replace(GHCR, username="bob", updated_at=2.0)
    assert await registries.get(database.reader, "ghcr.io") == kept
    assert await registries.login(database.reader, "ghcr.io") == ("bob", other)


async def test_they_are_listed_by_host_in_windows(database: Database) -> None:
    for host in ("b.example", "a.example", "c.example"):
        await put(database, replace(GHCR, host=host))

    found, total = await registries.page(database.reader, limit=2, offset=1)

    assert ([registry.host for registry in found], total) == (["b.example", "c.example"], 3)


async def test_every_key_in_use_is_named(database: Database) -> None:
    assert await sealed.key_ids(database.reader) == set()

    await put(database, GHCR)
    await put(database, replace(GHCR, host="docker.io"), Sealed(key_id="k2", box=b""))

    assert await sealed.key_ids(database.reader) == {"k1", "k2"}


async def test_a_deleted_one_is_gone_and_deleting_it_again_says_so(database: Database) -> None:
    await put(database, GHCR)

    async with database.transaction() as tx:
        assert await registries.delete(tx, "ghcr.io", now=3.0)
        assert not await registries.delete(tx, "ghcr.io", now=4.0)

    assert await registries.get(database.reader, "ghcr.io") is None
    assert [(event.kind, event.at, event.facts) for event in await Feed(database).after(0)] == [
        ("registry.set", 1.0, {"host": "ghcr.io", "username": "ann"}),
        ("registry.deleted", 3.0, {"host": "ghcr.io"}),
    ]
