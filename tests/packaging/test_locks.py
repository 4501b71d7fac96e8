"""What is installed is pinned, by version and by content, and comes from nowhere in particular."""

import re
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-test.lock")
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ;]+)(?: ; [^\\]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def read(lock: str) -> dict[str, tuple[str, int]]:
    """Read a lock file: name to version and number of hashes; fails on any line that is neither."""
    pins: dict[str, tuple[str, int]] = {}
    name = ""
    for line in (REPOSITORY / lock).read_text().splitlines():
        if pin := PIN.match(line):
            name = pin["name"]
            pins[name] = (pin["version"], 0)
        else:
            assert HASH.match(line), f"{lock}: {line}"
            pins[name] = (pins[name][0], pins[name][1] + 1)
    return pins


def wanted(*extras: str) -> set[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    names = [
        *project["dependencies"],
        *(name for e in extras for name in project["optional-dependencies"][e]),
    ]
    return {re.split(r"[<>=~! ]", name)[0].lower() for name in names}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_has_hashes_and_no_line_names_a_source(lock: str) -> None:
    pins = read(lock)

    assert pins
    assert [name for name, (_, hashes) in pins.items() if not hashes] == []


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.lock", ()), ("requirements-test.lock", ("test",))]
)
def test_the_locks_hold_what_the_project_asks_for(lock: str, extras: tuple[str, ...]) -> None:
    assert wanted(*extras) - set(read(lock)) == set()


def test_tests_run_with_the_versions_that_users_get() -> None:
    run, test = read("requirements.lock"), read("requirements-test.lock")

    assert {name: test.get(name) for name in run} == run
