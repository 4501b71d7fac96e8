"""Keep all that is sealed under one key: at the start, and when the key is changed."""

import asyncio
import logging

from paas.core.errors import Unavailable
from paas.core.model import Sealed
from paas.core.ports import Clock
from paas.core.variables import Boxed
from paas.store import feed, sealed, unsealed, variables
from paas.store.database import Database, Reader, Tx
from paas.store.sealed import FoundBox
from paas.vault import Place, Vault

logger = logging.getLogger(__name__)


async def check(vault: Vault, reader: Reader) -> None:
    """Raise StateUnusable unless the keys are there that a database needs, of whichever version it is."""
    await vault.keys.check(await sealed.key_ids(reader))


async def settle(database: Database, vault: Vault, clock: Clock) -> None:
    """End what an earlier life left half sealed: before all else at a start, but after `check`."""
    key_ids = await sealed.key_ids(database.reader)
    if await variables.some_are_set(database.reader):
        await vault.warm_up()  # some start will wait for them
    try:
        await _seal_plain(database, vault, clock)
        if vault.keys.has_new or not key_ids <= {vault.keys.sealing_id}:
            await _reseal(database, vault, clock)
    except Unavailable as error:  # all can be read as it is; the next start tries again
        logger.warning("%s", error.message, extra={"event": "secrets.unsettled"})


async def change_key(database: Database, vault: Vault, clock: Clock) -> int:
    """Seal everything with a new key and forget the old one; returns how many boxes it were.

    Cut off at any point, the next start ends it; it may also be asked again. Raises Conflict where systemd
    keeps the key, and Unavailable when something cannot be written or read.
    """
    await vault.keys.add_new()
    return await _reseal(database, vault, clock)


async def _reseal(database: Database, vault: Vault, clock: Clock) -> int:
    async with database.transaction() as tx:
        # Whoever seals does so in a transaction: what the old key sealed is all here now.
        found = await sealed.sealed_otherwise(tx, vault.keys.sealing_id)
        boxes = await vault.seal_all(await asyncio.to_thread(_opened, vault, found))
        await sealed.replace(tx, zip(found, boxes, strict=True))
        await feed.append(tx, "secrets.key_changed", at=clock.now(), facts={"sealed_anew": len(found)})
    await vault.keys.keep_only_new()
    logger.info("The key of all secrets is another now", extra={"event": "secrets.key_changed"})
    return len(found)


def _opened(vault: Vault, found: list[FoundBox]) -> list[tuple[Place, str]]:
    places = [Place(owner=box.owner, name=box.name) for box in found]
    return [(place, vault.open(place, box.sealed)) for place, box in zip(places, found, strict=True)]


async def _seal_plain(database: Database, vault: Vault, clock: Clock) -> None:
    """Seal what an earlier version kept plain, then overwrite what the file still holds of it."""
    left = await unsealed.places(database.reader)
    if not left:
        return
    if left - {unsealed.PAGES}:
        async with database.transaction() as tx:
            await _seal_variables(tx, vault, clock)
            if unsealed.REQUESTS in left:
                await _seal_requests(tx, vault)
            await unsealed.forget(tx, but_for_pages=True)
        logger.info("Variables of an earlier version are sealed", extra={"event": "variables.sealed"})
    await database.overwrite_deleted()
    async with database.transaction() as tx:
        await unsealed.forget(tx, but_for_pages=False)


async def _seal_variables(tx: Tx, vault: Vault, clock: Clock) -> None:
    now, count = clock.now(), 0
    for plain in await unsealed.variables(tx):
        values = {name: value for name, value in plain.env.items() if value is not None}
        places = [Place(owner=plain.owner.key, name=name) for name in values]
        boxes = await vault.seal_all(list(zip(places, values.values(), strict=True)))
        await variables.put(tx, plain.owner, map(_boxed, places, boxes), now=now)
        count += len(boxes)
    await unsealed.take_out_variables(tx)
    await feed.append(tx, "variables.sealed", at=now, facts={"count": count})


async def _seal_requests(tx: Tx, vault: Vault) -> None:
    digests = await unsealed.request_digests(tx)
    places = [Place(owner=f"request:{app_id}", name=key) for app_id, key, _ in digests]
    boxes = await vault.seal_all([(place, each[2]) for place, each in zip(places, digests, strict=True)])
    await unsealed.seal_requests(tx, zip(digests, boxes, strict=True))


def _boxed(place: Place, box: Sealed) -> Boxed:
    return Boxed(owner=place.owner, name=place.name, is_secret=False, sealed=box)
