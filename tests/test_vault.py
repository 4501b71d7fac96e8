"""The vault: opens what it sealed, in its place and with its key, and nothing else."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.core.errors import StateUnusable, Unavailable
from paas.core.model import Sealed
from paas.vault import Vault

SECRET = "correct horse battery staple"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "key")


@given(owner=st.text(), name=st.text(), value=st.text(st.characters(exclude_categories=["Cs"])))
async def test_what_was_sealed_is_opened_in_its_place(
    tmp_path_factory: pytest.TempPathFactory, owner: str, name: str, value: str
) -> None:
    vault = Vault(tmp_path_factory.getbasetemp() / "key")

    sealed = await vault.seal(owner, name, value)

    assert await vault.unseal(owner, name, sealed) == value


async def test_a_value_never_looks_the_same_twice(vault: Vault) -> None:
    boxes = {(await vault.seal("registry", "ghcr.io", SECRET)).box for _ in range(20)}

    assert len(boxes) == 20
    assert not any(SECRET.encode() in box for box in boxes)


@pytest.mark.parametrize(
    ("owner", "name"),
    [("registry", "ghcr.io2"), ("app", "ghcr.io"), ("registryg", "hcr.io"), ("", "registryghcr.io")],
)
async def test_a_box_does_not_open_in_another_place(vault: Vault, owner: str, name: str) -> None:
    sealed = await vault.seal("registry", "ghcr.io", SECRET)

    with pytest.raises(Unavailable, match="cannot read the secret"):
        await vault.unseal(owner, name, sealed)


async def test_a_changed_box_does_not_open(vault: Vault) -> None:
    sealed = await vault.seal("registry", "ghcr.io", SECRET)

    for at in range(len(sealed.box)):
        box = bytearray(sealed.box)
        box[at] ^= 1
        with pytest.raises(Unavailable):
            await vault.unseal("registry", "ghcr.io", Sealed(key_id=sealed.key_id, box=bytes(box)))
    for length in (0, 1, 11, 12, 27):
        with pytest.raises(Unavailable):
            await vault.unseal("registry", "ghcr.io", Sealed(key_id=sealed.key_id, box=sealed.box[:length]))


async def test_another_key_opens_nothing_and_is_said_before_anything_is_made(tmp_path: Path) -> None:
    sealed = await Vault(tmp_path / "key").seal("registry", "ghcr.io", SECRET)
    other = Vault(tmp_path / "other")
    await other.seal("registry", "ghcr.io", SECRET)

    with pytest.raises(Unavailable):
        await other.unseal("registry", "ghcr.io", sealed)
    with pytest.raises(StateUnusable, match=f"{tmp_path}/other is not the key of all"):
        await Vault(tmp_path / "other").keys.check({sealed.key_id})
    with pytest.raises(StateUnusable, match=f"their key {tmp_path}/lost is not there"):
        await Vault(tmp_path / "lost").keys.check({sealed.key_id})
    assert {path.name for path in tmp_path.iterdir()} == {"key", "other"}


async def test_unsealing_makes_no_key(tmp_path: Path, vault: Vault) -> None:
    with pytest.raises(Unavailable):
        await vault.unseal("registry", "ghcr.io", Sealed(key_id="0" * 16, box=b"x" * 40))

    assert list(tmp_path.iterdir()) == []


async def test_the_key_is_found_again(tmp_path: Path) -> None:
    sealed = await Vault(tmp_path / "key").seal("registry", "ghcr.io", SECRET)
    again = Vault(tmp_path / "key")

    await again.keys.check({sealed.key_id})

    assert await again.unseal("registry", "ghcr.io", sealed) == SECRET
    assert (await again.seal("registry", "ghcr.io", SECRET)).key_id == sealed.key_id


async def test_many_that_want_a_key_at_once_get_the_same(vault: Vault, tmp_path: Path) -> None:
    sealed = await asyncio.gather(*(vault.seal("app", str(number), SECRET) for number in range(32)))

    assert len({one.key_id for one in sealed}) == 1
    assert await Vault(tmp_path / "key").unseal("app", "7", sealed[7]) == SECRET


async def test_one_that_leaves_while_the_key_is_made_spoils_nothing(tmp_path: Path) -> None:
    for number in range(20):
        vault = Vault(tmp_path / str(number))
        async with asyncio.TaskGroup() as group:
            leaver = group.create_task(vault.seal("app", "a", SECRET))
            stayer = group.create_task(vault.seal("app", "b", SECRET))
            await asyncio.sleep(0)
            leaver.cancel()

        assert await Vault(tmp_path / str(number)).unseal("app", "b", stayer.result()) == SECRET
