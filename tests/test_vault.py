"""The vault: opens what it sealed, in its place and with its key, and nothing else."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.core.errors import StateUnusable, Unavailable
from paas.core.model import Sealed
from paas.vault import Vault
from tests.harness import REPOSITORY
from tests.waiting import until

SECRET = "correct horse battery staple"
SEAL = """
import asyncio, os, resource, sys
from pathlib import Path
from paas.vault import Vault
os.umask(0)
if sys.argv[2:] == ["full"]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
asyncio.run(Vault(Path(sys.argv[1])).seal("registry", "ghcr.io", "secret"))
"""
# Makes one key after the other, so that a kill at any moment meets one half made.
MAKE_MANY = """
import asyncio, sys
from pathlib import Path
from paas.vault import Vault
async def main() -> None:
    for number in range(100000):
        folder = Path(sys.argv[1], str(number))
        folder.mkdir()
        await Vault(folder / "key").seal("registry", "ghcr.io", "secret")
asyncio.run(main())
"""


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "key")


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


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
        await Vault(tmp_path / "other").check({sealed.key_id})
    with pytest.raises(StateUnusable, match=f"their key {tmp_path}/lost is not there"):
        await Vault(tmp_path / "lost").check({sealed.key_id})
    assert {path.name for path in tmp_path.iterdir()} == {"key", "other"}


async def test_unsealing_makes_no_key(tmp_path: Path, vault: Vault) -> None:
    with pytest.raises(Unavailable):
        await vault.unseal("registry", "ghcr.io", Sealed(key_id="0" * 16, box=b"x" * 40))

    assert list(tmp_path.iterdir()) == []


async def test_the_key_is_found_again(tmp_path: Path) -> None:
    sealed = await Vault(tmp_path / "key").seal("registry", "ghcr.io", SECRET)
    again = Vault(tmp_path / "key")

    await again.check({sealed.key_id})

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


def test_the_key_is_private_whatever_the_umask(tmp_path: Path) -> None:
    done = run(SEAL, tmp_path / "key")

    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_leftover_of_a_crash_is_not_written_to(tmp_path: Path) -> None:
    leftover = tmp_path / "key.new"
    leftover.write_text("half")
    leftover.chmod(0o666)

    done = run(SEAL, tmp_path / "key")

    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_disk_that_takes_nothing_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    done = run(SEAL, tmp_path / "key", "full")

    assert "Unavailable: cannot write the key" in done.stderr
    assert list(tmp_path.iterdir()) == []


async def test_a_killed_process_leaves_whole_keys_or_none(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", MAKE_MANY, str(tmp_path)], cwd=REPOSITORY) as maker:
        await until((tmp_path / "40").exists)
        maker.send_signal(signal.SIGKILL)

    made = [folder / "key" for folder in tmp_path.iterdir() if (folder / "key").exists()]
    assert len(made) >= 40
    for key in made:
        await Vault(key).check(())  # reads it


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"secret\n", b"0" * 62, b"0" * 66, b"\xff" * 64, b"z" * 64, b"0" * 100_000]
)
async def test_a_file_that_is_no_key_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_bytes(content)

    with pytest.raises(StateUnusable, match="not 32 bytes in hexadecimal") as raised:
        await Vault(tmp_path / "key").check(())

    assert raised.value.hint
    assert (tmp_path / "key").read_bytes() == content


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
async def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    await Vault(tmp_path / "key").seal("registry", "ghcr.io", SECRET)
    (tmp_path / "key").chmod(mode)

    with pytest.raises(StateUnusable, match="other users may read it") as raised:
        await Vault(tmp_path / "key").check(())

    assert raised.value.hint == f"chmod 600 {tmp_path / 'key'}"


async def test_a_credential_of_systemd_wins(tmp_path: Path) -> None:
    by_file = await Vault(tmp_path / "key").seal("registry", "ghcr.io", SECRET)
    credential = tmp_path / "credentials" / "paas-key"
    credential.parent.mkdir()
    credential.write_text(os.urandom(32).hex())
    credential.chmod(0o440)  # as systemd makes it
    vault = Vault(tmp_path / "key", credentials=credential.parent)

    sealed = await vault.seal("registry", "ghcr.io", SECRET)

    assert sealed.key_id != by_file.key_id
    assert await vault.unseal("registry", "ghcr.io", sealed) == SECRET
    with pytest.raises(StateUnusable, match=f"{credential} is not the key of all"):
        await vault.check({by_file.key_id})


async def test_without_a_credential_in_systemd_s_folder_the_file_is_used(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "key", credentials=tmp_path / "none")

    await vault.seal("registry", "ghcr.io", SECRET)

    assert (tmp_path / "key").exists()


async def test_no_secret_is_in_what_a_record_shows(vault: Vault, tmp_path: Path) -> None:
    await vault.seal("registry", "ghcr.io", SECRET)

    key = (tmp_path / "key").read_text().strip()

    assert key not in repr(vault._key)
    assert str(bytes.fromhex(key))[2:-1] not in repr(vault._key)
