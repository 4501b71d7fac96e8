"""Programs out of source: what comes of them, what is kept for the next, and why they fail."""

import contextlib
import sys
from collections.abc import Iterator

import pytest

from paas.builders.recipe_table import SERVE
from paas.core.builds import Recipe
from paas.core.errors import BuildFailed, Unavailable
from paas.core.records import replace
from tests.builders.source_rig import Rig, contents, rigged


@pytest.fixture
def builds() -> Iterator[Rig]:
    with rigged() as rig:
        yield rig


async def test_the_same_source_gives_the_same_bytes(builds: Rig) -> None:
    first = await builds.build("date +%N >/dev/null; mkdir b a; echo x >b/x; echo y >a/y; touch run")
    second = await builds.build("mkdir a; echo y >a/y; touch run; mkdir b; echo x >b/x")

    assert first.path.read_bytes() == second.path.read_bytes()


async def test_each_command_has_a_shell_of_its_own_and_ends_the_build_when_it_fails(builds: Rig) -> None:
    with pytest.raises(
        BuildFailed, match=r"`test -e run; false; touch more` ended with exit code 1"
    ) as raised:
        await builds.build(
            "mkdir sub; cd sub; x=1", "touch run", "test -e run; false; touch more", "echo never"
        )

    assert raised.value.hint is None
    assert [line for line in builds.report.lines if line.startswith("$ ")] == [
        "$ mkdir sub; cd sub; x=1",
        "$ touch run",
        "$ test -e run; false; touch more",
    ]
    assert builds.left() == []


async def test_what_a_command_that_is_no_shell_says_is_the_reason(builds: Rig) -> None:
    with pytest.raises(BuildFailed, match=r"`if then` ended with exit code 2"):
        await builds.build("if then")


async def test_the_procfile_keeps_its_processes_and_gets_the_profile_before_each(builds: Rig) -> None:
    program = await builds.build(
        "echo 'export A=1' >.paas/profile",
        files={"Procfile": "web: gunicorn app\nworker:  python3 work.py && true\n"},
        start=None,
    )

    assert contents(program)["Procfile"] == (
        "web: . ./.paas/profile; exec gunicorn app\nworker: . ./.paas/profile; python3 work.py && true\n"
    )


async def test_a_static_site_brings_its_server(builds: Rig) -> None:
    program = await builds.build_by(Recipe(name="static", start=SERVE), {"index.html": "<p>"}, {})

    found = contents(program)
    assert found["Procfile"] == f"web: {SERVE}\n"
    assert f".paas/__pycache__/static_server.{sys.implementation.cache_tag}.pyc" in found
    assert "sendfile" in found[".paas/static_server.py"]


async def test_a_build_without_a_program_is_told_so(builds: Rig) -> None:
    with pytest.raises(BuildFailed, match="it has 0 executable files at its root"):
        await builds.build("touch text", start=None)


async def test_the_cache_comes_from_builds_that_succeeded_and_goes_to_the_next(builds: Rig) -> None:
    cache = ("~/.cache/tool", "parts")
    count = "mkdir -p ~/.cache/tool parts; echo x >>~/.cache/tool/n; echo x >>parts/n"
    count += "; cat ~/.cache/tool/n parts/n | wc -l"

    for command in (f"{count}; touch run", f"{count}; false", f"{count}; touch run"):
        with contextlib.suppress(BuildFailed):
            await builds.build(command, cache=cache)
    await builds.build(f"{count}; touch run", cache=cache, no_cache=True)

    assert [line for line in builds.report.lines if line.isdigit()] == ["2", "4", "4", "2"]


async def test_a_cache_that_is_too_large_is_not_kept(builds: Rig) -> None:
    await builds.build("mkdir -p ~/c; head -c 5M /dev/zero >~/c/x; touch run", cache=("~/c",))

    assert list(builds.settings.cache_root.iterdir()) == []


async def test_a_cache_folder_outside_is_refused(builds: Rig) -> None:
    with pytest.raises(BuildFailed, match=r"cannot keep '~/\.\./x'"):
        await builds.build("touch run", cache=("~/../x",))


async def test_a_missing_toolchain_is_named_with_what_installs_it(builds: Rig) -> None:
    builds.settings = replace(builds.settings, passed={"PATH": "/nowhere"})
    recipe = Recipe(name="go", build=("go_program",), start="./x")

    with pytest.raises(BuildFailed, match="go is not on this machine, which the recipe go needs") as raised:
        await builds.build_by(recipe, {"go.mod": ""}, {})

    assert raised.value.hint == "apt-get install golang-go"


async def test_without_the_builds_user_nothing_is_built(builds: Rig) -> None:
    builds.settings = replace(builds.settings, no_user="cannot build as the user x: there is none")

    with pytest.raises(Unavailable, match="user x"):
        await builds.build("touch run")
