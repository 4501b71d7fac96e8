"""`paas init`, and `paas deploy` by a manifest, from Git and of an archive."""

import json
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command, commanding
from tests.git_server import GitServer, serving
from tests.harness import Agent
from tests.requirements import require

Program = Callable[..., Path]

MANIFEST = """
name = "shop"
namespace = "team"
environment = "production"
idle_timeout_secs = 600
release = "echo prepared"

[env]
COLOUR = "blue"
SIZE = 3

[networking]
health_path = "/"

[resources]
memory = "64Mi"
"""
OF_A_REPOSITORY = """
[build]
commands = ["echo building for $COLOUR; test -x server"]
"""
ZECTRE = """\
name: api
deploy:
  replicas: 1
  env:
    COLOUR: green
networking:
  health_check: {path: /, interval: 10s}
"""


@pytest.fixture
def repositories(tmp_path: Path) -> Iterator[GitServer]:
    require("git")
    with serving(tmp_path / "repositories") as server:
        yield server


async def test_manifest_says_all_that_options_would(agent: Agent, paas: Command, program: Program) -> None:
    paas.folder = program("server").parent
    manifest = paas.folder / "paas.toml"
    manifest.write_text(MANIFEST)

    first = paas.ok("deploy")
    second = json.loads(
        paas.ok("deploy", ".", "-e", "COLOUR=red", "--memory", "96Mi", "--environment", "test", "--json").out
    )

    assert first.lines[:2] == ["-----> Read paas.toml", "-----> Created team/shop"]
    assert "//shop-team.localhost" in first.lines[-1]
    (app,) = json.loads(paas.ok("ps", "--json").out)["data"]
    current = await agent.deployment(app["current"]["deployment_id"])
    assert current["environment_slug"] == "production"
    assert current["spec"]["env"] == {"COLOUR": "blue", "SIZE": "3"}
    assert current["spec"]["idle_timeout_secs"] == 600
    assert (await agent.get("shop-team.localhost")).body == b"blue"
    assert (second["environment_slug"], second["spec"]["env"]["COLOUR"]) == ("test", "red")
    assert second["spec"]["resources"] == {"cpu": "100m", "memory": "96Mi", "pids": None}
    assert second["spec"]["networking"]["health_path"] == "/"

    manifest.write_text(MANIFEST.replace("idle_timeout_secs", "idle_timeout"))
    refused = paas("deploy")
    assert refused.code == 1
    assert "paas.toml:5: idle_timeout: there is no such field" in refused.err
    assert "Hint: did you mean idle_timeout_secs?" in refused.err


async def test_zectre_yaml_is_deployed_as_its_own_command_would(
    agent: Agent, paas: Command, program: Program
) -> None:
    paas.folder = program("server").parent
    (paas.folder / "zectre.yaml").write_text(ZECTRE)
    elsewhere = {"PAAS_API_URL": "", "ZECTRE_API_URL": agent.api_url}

    paas.environment = elsewhere
    result = paas.ok("deploy", "--wait", "--prod")
    paas.environment = {**elsewhere, "PAAS_API_URL": agent.api_url, "ZECTRE_API_URL": "http://127.0.0.1:9"}
    quick = paas.ok("deploy", "--no-wait", "--api-url", agent.api_url)
    listed = paas.ok("ps", "--json")

    assert "-----> Read zectre.yaml" in result.lines
    assert (await agent.get("api")).body == b"green"
    assert quick.lines[-1] == "-----> Version 2 of api, for development, goes on by itself"
    assert [app["name"] for app in json.loads(listed.out)["data"]] == ["api"]


async def test_repository_is_fetched_built_and_deployed(
    agent: Agent, paas: Command, program: Program, repositories: GitServer
) -> None:
    server = program("server").read_text()
    files = {"server": server, "Procfile": "web: ./server\n", "paas.toml": MANIFEST + OF_A_REPOSITORY}
    commit = repositories.publish("me/My-App.git", {f"sub/{name}": text for name, text in files.items()})
    repositories.git("me/My-App.git", "tag", "v1")
    url = repositories.address("me/My-App.git")

    result = paas.ok("deploy", "--git", url, "--ref", "v1", "--path", "sub", "--prod", "--replicas", "2")
    absent = paas("deploy", "--git", url, "--ref", "v2")
    refused = paas("deploy", "--git", url, "-e", "A=1")

    assert f"       Fetched commit {commit}" in result.lines
    assert "//my-app-default.localhost" in result.lines[-1]
    deployment = await agent.deployment((await agent.app("my-app"))["current"]["deployment_id"])
    assert (deployment["environment_slug"], deployment["spec"]["replicas"]) == ("production", 2)
    assert deployment["spec"]["release"] == "echo prepared"
    assert "prepared" in "\n".join(paas.ok("logs", "my-app").lines)
    assert (await agent.get("my-app")).body == b"blue"
    assert absent.code == 1
    assert "it has no branch, tag or commit v2" in absent.err
    assert refused.code == 1
    assert "Hint: write them into paas.toml" in refused.err


async def test_folder_and_archive_of_source_are_built_by_the_agent(
    agent: Agent, paas: Command, program: Program, tmp_path: Path
) -> None:
    site, archive = tmp_path / "site", tmp_path / "web-site.zip"
    for name in (".git/HEAD", "node_modules/left-pad/index.js", "docs/.venv/bin/activate"):
        (site / name).parent.mkdir(parents=True)
        (site / name).write_text("never sent")
    (site / ".venv").symlink_to("/usr")
    (site / "index.html").write_text("welcome")
    with zipfile.ZipFile(archive, "w") as file:
        file.write(program("server"), "server")
        file.writestr("Procfile", "web: ./server\n")

    built = paas.ok("deploy", site)
    sent = paas.ok("deploy", "--zip", archive, "-e", "COLOUR=blue")

    assert "       Building by the recipe static" in built.lines
    assert (await agent.get("site")).body == b"welcome"
    assert (await agent.get("site", "/node_modules/left-pad/index.js")).status == 404
    assert "//web-site-default.localhost" in sent.lines[-1]
    assert (await agent.get("web-site")).body == b"blue"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "write a paas.toml with `paas init`"),
        (("--git", "http://x/y", "--image", "z"), "one of them"),
        (("--image", "z", "--ref", "main"), "--ref is for a repository"),
        (("--image", "z", "--prod", "--environment", "test"), "one of them"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    with commanding("http://127.0.0.1:9") as paas:
        paas.folder = tmp_path
        result = paas("deploy", *arguments)

    assert result.code == 2
    assert words in result.err


@pytest.mark.parametrize(
    ("files", "build"),
    [
        ({"Dockerfile": "FROM scratch\n"}, {"recipe": "dockerfile"}),
        ({"Procfile": "web: ./server\n"}, None),
        (
            {"package.json": '{"scripts": {"start": "node a.js"}}', "package-lock.json": "{}"},
            {"recipe": "node"},
        ),
        ({"notes.txt": "hello"}, None),
    ],
)
def test_init_writes_what_it_finds(
    tmp_path: Path, files: dict[str, str], build: dict[str, str] | None
) -> None:
    folder = tmp_path / "My Site"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)

    with commanding("http://127.0.0.1:9") as paas:
        paas.folder = folder
        result = paas.ok("init")

    assert result.lines[0].startswith("-----> Wrote paas.toml: my-site, ")
    written = tomllib.loads((folder / "paas.toml").read_text())
    assert written == {"name": "my-site"} | ({"build": build} if build else {})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--git", "file:///etc"), "'file:///etc'"),
        (("--git", "https://me:secret@example.com/x"), "a name or a password"),
        (("--git", "https://example.com/x", "--ref", "-x"), "no branch, tag or commit"),
        (("--git", "https://example.com/x", "--path", "../y"), "not a path inside"),
    ],
)
def test_what_cannot_be_fetched_is_refused_before_anything_is_made(
    arguments: tuple[str, ...], words: str
) -> None:
    with commanding("http://127.0.0.1:9") as paas:
        result = paas("deploy", *arguments)

    assert result.code == 1
    assert words in result.err
    assert "secret" not in result.err


def test_init_writes_over_a_manifest_only_when_told_to(tmp_path: Path) -> None:
    (tmp_path / "paas.toml").write_text('name = "mine"\n')

    with commanding("http://127.0.0.1:9") as paas:
        refused = paas("init", tmp_path)
        kept = (tmp_path / "paas.toml").read_text()
        forced = paas.ok("init", tmp_path, "--force", "--name", "other", "--json")

    assert refused.code == 1
    assert "paas.toml: it is there" in refused.err
    assert kept == 'name = "mine"\n'
    assert json.loads(forced.out)["name"] == "other"


def test_init_does_not_hide_a_zectre_yaml(tmp_path: Path) -> None:
    (tmp_path / "zectre.yaml").write_text("name: a\n")

    with commanding("http://127.0.0.1:9") as paas:
        result = paas("init", tmp_path)
        odd = paas("init", tmp_path, "--force", "--name", "-a")

    assert "take the place of zectre.yaml" in result.err
    assert "paas.toml:2: name: " in odd.err
    assert not (tmp_path / "paas.toml").exists()
