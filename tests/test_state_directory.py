"""The data directory: one holder, and reachable for whom apps run as."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from paas.core.errors import StateUnusable
from paas.state_directory import StateDirectory, held

SOMEBODY = 54321  # nobody's user and group id


@pytest.fixture
def open_root() -> Iterator[Path]:
    """Make a folder that others may enter: pytest's own are closed to them."""
    with TemporaryDirectory(prefix="paas-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        yield root


def test_a_directory_is_made_held_and_private_where_it_must_be(tmp_path: Path) -> None:
    root = tmp_path / "new" / "state"

    with held(root) as state:
        assert state.root == root
        assert (root / "agent.lock").read_text() == f"{os.getpid()}\n"
        assert stat.S_IMODE(state.database.stat().st_mode) == 0o600


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with held(tmp_path):
        with (
            pytest.raises(StateUnusable, match=f"process id {os.getpid()} holds it") as raised,
            held(tmp_path),
        ):
            pytest.fail("both hold it")
        assert raised.value.hint
        assert (tmp_path / "agent.lock").read_text() == f"{os.getpid()}\n", "the refused one changed nothing"

    with held(tmp_path):
        pass


def test_what_an_earlier_holder_kept_is_left_alone(tmp_path: Path) -> None:
    with held(tmp_path) as state:
        state.database.write_bytes(b"rows")

    with held(tmp_path) as state:
        assert state.database.read_bytes() == b"rows"


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")

    with pytest.raises(StateUnusable, match="cannot use the state directory"), held(tmp_path / "state"):
        pytest.fail("held a file")


def test_a_folder_open_to_all_is_reachable(open_root: Path) -> None:
    StateDirectory(open_root).check_reachable(SOMEBODY, SOMEBODY)


@pytest.mark.parametrize("closed", [".", "inner"])
def test_a_closed_folder_on_the_way_is_named_with_what_to_do(open_root: Path, closed: str) -> None:
    (open_root / "inner" / "state").mkdir(parents=True)
    (open_root / closed).chmod(0o750)

    with pytest.raises(
        StateUnusable, match=f"user id {SOMEBODY} may not enter {open_root / closed}"
    ) as raised:
        StateDirectory(open_root / "inner" / "state").check_reachable(SOMEBODY, SOMEBODY)

    assert raised.value.hint
    assert raised.value.hint.startswith(f"chmod o+x {open_root / closed}")


def test_permissions_are_those_of_the_owner_then_the_group_then_all(open_root: Path) -> None:
    state, found = StateDirectory(open_root), open_root.stat()
    open_root.chmod(0o701)

    state.check_reachable(found.st_uid, found.st_gid)
    state.check_reachable(SOMEBODY, SOMEBODY)
    with pytest.raises(StateUnusable):
        state.check_reachable(SOMEBODY, found.st_gid)
