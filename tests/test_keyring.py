"""The keyring: makes a key that is whole and private or none, and takes nothing else for one."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from paas.core.errors import StateUnusable
from paas.keyring import Keyring
from tests.harness import REPOSITORY
from tests.waiting import until

MAKE = """
import os, resource, sys
from pathlib import Path
from paas.keyring import Keyring
os.umask(0)
if sys.argv[2:] == ["full"]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
Keyring(Path(sys.argv[1])).find_or_make()
"""
# Makes one key after the other, so that a kill at any moment meets one half made.
MAKE_MANY = """
import sys
from pathlib import Path
from paas.keyring import Keyring
for number in range(100000):
    folder = Path(sys.argv[1], str(number))
    folder.mkdir()
    Keyring(folder / "key").find_or_make()
"""


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_key_is_private_whatever_the_umask(tmp_path: Path) -> None:
    done = run(MAKE, tmp_path / "key")

    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_leftover_of_a_crash_is_not_written_to(tmp_path: Path) -> None:
    leftover = tmp_path / "key.new"
    leftover.write_text("half")
    leftover.chmod(0o666)

    done = run(MAKE, tmp_path / "key")

    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_disk_that_takes_nothing_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    done = run(MAKE, tmp_path / "key", "full")

    assert "Unavailable: cannot write the key" in done.stderr
    assert list(tmp_path.iterdir()) == []


async def test_a_killed_process_leaves_whole_keys_or_none(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", MAKE_MANY, str(tmp_path)], cwd=REPOSITORY) as maker:
        await until((tmp_path / "40").exists)
        maker.send_signal(signal.SIGKILL)

    made = [folder / "key" for folder in tmp_path.iterdir() if (folder / "key").exists()]
    assert len(made) >= 40
    for key in made:
        await Keyring(key).check(())  # reads it


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"secret\n", b"0" * 62, b"0" * 66, b"\xff" * 64, b"z" * 64, b"0" * 100_000]
)
async def test_a_file_that_is_no_key_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_bytes(content)

    with pytest.raises(StateUnusable, match="not 32 bytes in hexadecimal") as raised:
        await Keyring(tmp_path / "key").check(())

    assert raised.value.hint
    assert (tmp_path / "key").read_bytes() == content


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
async def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    Keyring(tmp_path / "key").find_or_make()
    (tmp_path / "key").chmod(mode)

    with pytest.raises(StateUnusable, match="other users may read it") as raised:
        await Keyring(tmp_path / "key").check(())

    assert raised.value.hint == f"chmod 600 {tmp_path / 'key'}"


async def test_a_credential_of_systemd_wins(tmp_path: Path) -> None:
    by_file = Keyring(tmp_path / "key").find_or_make()
    credential = tmp_path / "credentials" / "paas-key"
    credential.parent.mkdir()
    credential.write_text(os.urandom(32).hex())
    credential.chmod(0o440)  # as systemd makes it

    keys = Keyring(tmp_path / "key", credentials=credential.parent)

    assert keys.find_or_make().value == bytes.fromhex(credential.read_text())
    with pytest.raises(StateUnusable, match=f"{credential} is not the key of all"):
        await keys.check({by_file.id})


def test_without_a_credential_in_systemd_s_folder_the_file_is_used(tmp_path: Path) -> None:
    Keyring(tmp_path / "key", credentials=tmp_path / "none").find_or_make()

    assert (tmp_path / "key").exists()


def test_no_key_is_in_what_it_shows_of_itself(tmp_path: Path) -> None:
    key = Keyring(tmp_path / "key").find_or_make()

    assert key.value.hex() not in repr(key)
    assert str(key.value)[2:-1] not in repr(key)
