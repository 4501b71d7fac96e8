"""Values of the configuration: addresses, and where the state is. Its keys: packaging/test_config.py."""

import os
from pathlib import Path

import pytest

from paas.config import BadConfig, Config, load, split_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:47080", ("127.0.0.1", 47080)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
    ],
)
def test_an_address_is_split(text: str, expected: tuple[str, int]) -> None:
    assert split_address(text) == expected


@pytest.mark.parametrize(
    "text", ["", "localhost", ":80", "host:", "host:65536", "host:-1", "host:1x", "::1:80", "[::1]", "a:1\n"]
)
def test_what_is_no_address_is_refused_with_its_value(text: str) -> None:
    with pytest.raises(BadConfig) as raised:
        split_address(text)

    assert repr(text) in raised.value.message


@pytest.mark.parametrize("table", ["api", "proxy"])
def test_a_bad_address_in_a_file_is_refused(tmp_path: Path, table: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"[{table}]\nlisten = 'nowhere'\n")

    with pytest.raises(BadConfig, match="'nowhere'"):
        load(path)


@pytest.mark.parametrize("content", [b"state = ", b"\xff", b"[api\n"])
def test_what_is_no_toml_is_refused_with_the_name_of_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)

    with pytest.raises(BadConfig, match=f"cannot read {path}"):
        load(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="cannot read"):
        load(tmp_path / "absent.toml")


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("")

    assert load(path) == Config()


def test_the_state_is_where_it_is_said_to_be() -> None:
    assert Config(state="/somewhere").state_directory() == Path("/somewhere")
    expected = "/var/lib/paas" if os.geteuid() == 0 else "paas"
    assert str(Config().state_directory()).endswith(expected)
