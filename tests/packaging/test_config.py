"""The example of the configuration says what the code does."""

import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from paas.config import (
    ApiConfig,
    BadConfig,
    BuildsConfig,
    Config,
    ContainersConfig,
    GitHubConfig,
    ProxyConfig,
    RetentionConfig,
    TasksConfig,
    load,
)
from paas.core.records import field_names

EXAMPLE = Path(__file__).resolve().parents[2] / "config.example.toml"
TABLES = {
    "api": ApiConfig,
    "proxy": ProxyConfig,
    "tasks": TasksConfig,
    "containers": ContainersConfig,
    "builds": BuildsConfig,
    "github": GitHubConfig,
    "retention": RetentionConfig,
}


def test_the_example_holds_every_key_and_no_other() -> None:
    example = tomllib.loads(EXAMPLE.read_text())

    assert set(example) == set(field_names(Config))
    assert set(TABLES) == {key for key, value in example.items() if isinstance(value, dict)}
    for table, shape in TABLES.items():
        assert set(example[table]) == set(field_names(shape)), table


def test_the_example_gives_the_defaults() -> None:
    assert load(EXAMPLE) == Config()


def test_every_key_of_the_example_has_a_line_of_meaning() -> None:
    lines = EXAMPLE.read_text().splitlines()

    bare = [line for before, line in pairwise(lines) if "=" in line and before[:1] != "#"]

    assert [line for line in bare if not line.startswith("#")] == []


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("color = 1\n", 1, "color"),
        ("state = '/x'\n\n[proxy]\ndomain = 'a'\nlissten = 'b'\n", 5, "proxy.lissten"),
        ("[api]\n[prox]\nlisten = 'b'\n", 2, "prox"),
        ("[[builds.recipes]]\nname = 'a'\nfiles = ['b']\nbuilt = []\n", 4, "builds.recipes.built"),
        ("# listenn\n[api]\nlisten = '127.0.0.1:1'\n[proxy]\nlistenn = 'c'\n", 5, "proxy.listenn"),
    ],
)
def test_an_unknown_key_is_refused_with_its_line(tmp_path: Path, text: str, line: int, key: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)

    with pytest.raises(BadConfig, match=rf"line {line}: unknown key {key}$"):
        load(path)


def test_the_nearest_known_key_is_the_hint(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[proxy]\nlistne = 'b'\n")

    with pytest.raises(BadConfig) as raised:
        load(path)

    assert raised.value.hint == "did you mean proxy.listen?"


def test_a_value_of_the_wrong_kind_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[tasks]\nfirst_port = 'many'\n")

    with pytest.raises(BadConfig, match=r"first_port"):
        load(path)


def test_an_owners_recipes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        "[[builds.recipes]]\nname = 'make'\nfiles = ['Makefile']\nneeds = { make = 'apt-get install make' }\n"
    )

    (row,) = load(path).builds.recipes

    assert (row.name, row.files, row.needs) == ("make", ("Makefile",), {"make": "apt-get install make"})


def test_a_recipe_without_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[[builds.recipes]]\nname = 'make'\n")

    with pytest.raises(BadConfig, match="files"):
        load(path)
