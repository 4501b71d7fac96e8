"""Reading manifests: what they say, and where they are wrong."""

import contextlib
import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paas.core.builds import BuildOptions
from paas.core.errors import BadManifest
from paas.manifest import BuildSection, Manifest, of_folder, read
from paas.manifest.toml import read_toml

WHOLE = """
name = "shop"
namespace = "team"
environment = "production"
replicas = 2
idle_timeout_secs = 60
release = "./migrate"

[build]
recipe = "node"
commands = ["npm ci", "npm run build"]
start = "node server.js"
path = "web"
cache = ["node_modules"]

[build.args]
VERSION = "1"

[env]
COLOUR = "blue"
WORKERS = 4
DEBUG = false

[networking]
health_path = "/health"

[processes.mailer]
command = "./mail --all"
sleeps = false

[resources]
memory = "64Mi"
"""

ZECTRE = """\
# committed
name: my-api
namespace: team
build:
  source: ./src/server.tish
  features: [http, fs]
deploy:
  replicas: 0
  strategy: rolling
  env:
    LEVEL: info
    PORTS: 8080
    ON: yes
    EMPTY:
  max_runtime_secs: 3600
resources: {cpu: 100m, memory: 128Mi}
networking:
  port: 8080
  protocol: http
  health_check:
    path: /health
    interval: 10s
    timeout: 5s
"""


def refused(text: str, file_name: str = "paas.toml") -> tuple[str, str | None]:
    with pytest.raises(BadManifest) as failure:
        read(text, file_name)
    return failure.value.message, failure.value.hint


def test_everything_is_read() -> None:
    assert read(WHOLE, "paas.toml") == Manifest(
        file_name="paas.toml",
        name="shop",
        namespace="team",
        environment="production",
        build=BuildSection(
            recipe="node",
            commands=("npm ci", "npm run build"),
            start="node server.js",
            path="web",
            args={"VERSION": "1"},
            cache=("node_modules",),
        ),
        spec={
            "replicas": 2,
            "idle_timeout_secs": 60,
            "networking": {"health_path": "/health"},
            "resources": {"memory": "64Mi"},
            "processes": {"mailer": {"command": "./mail --all", "sleeps": False}},
            "release": "./migrate",
        },
        env={"COLOUR": "blue", "WORKERS": "4", "DEBUG": "false"},
    )


def test_zectre_yaml_says_the_same_in_its_words() -> None:
    assert read(ZECTRE, "zectre.yaml") == Manifest(
        file_name="zectre.yaml",
        name="my-api",
        namespace="team",
        build=BuildSection(
            recipe="tish",
            commands=("tish build --feature http --feature fs ./src/server.tish -o .paas/program",),
        ),
        spec={
            "replicas": 0,
            "max_runtime_secs": 3600,
            "resources": {"cpu": "100m", "memory": "128Mi"},
            "networking": {"port": 8080, "protocol": "http", "health_path": "/health"},
        },
        env={"LEVEL": "info", "PORTS": "8080", "ON": "yes", "EMPTY": ""},
    )


def test_zectre_yaml_with_a_name_alone_leaves_all_to_the_defaults() -> None:
    assert read("name: my-api\n", "zectre.yaml") == Manifest(file_name="zectre.yaml", name="my-api")
    assert read("", "zectre.yaml") == Manifest(file_name="zectre.yaml")
    image = read("name: a\ndeploy:\n  process_type: docker\n  image: a:1\n", "zectre.yaml")
    assert image.spec == {"process_type": "docker", "image": "a:1"}
    both = read("build:\n  source: a.tish\ndeploy:\n  image: a:1\n", "zectre.yaml")
    assert both.build == BuildSection()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('name = "a"\nreplcias = 2\n', "2: replcias: there is no such field", "did you mean replicas?"),
        ("[networking]\n\nprot = 1", "3: networking.prot: there is no such field", "did you mean port?"),
        ("[networking]\nport = '1'", "2: networking.port: expected int | null, got str", None),
        ("x = [", "1: invalid value", None),
        ("a = 1\na = 2\n", "2: cannot overwrite a value", None),
        ('[env]\nA = "1"\nPORT = "2"', "3: cannot set the variable PORT: the agent sets it", None),
        ("[env]\nA = 1.5", "2: env.A: it is no text", "write it in quotes"),
        ('name = "-a"', "1: name: ", None),
        ("[idle]\nfreeze_after_secs = 900", "2: cannot freeze after 900 s", None),
        ("idle_timeout_secs = inf", "1: idle_timeout_secs: inf is no number", None),
        ('\n\n[build]\npath = "../other"', "4: cannot build '../other'", None),
        ('[[volumes]]\nhost_path = "a"\ncontainer_path = "b"', "3: volumes.0.container_path: ", None),
        ('networking = { protocol = "grpc" }', "1: cannot serve the protocol grpc", None),
        ('image = "a:1"\n[build]\nstart = "x"', "2: nothing is built where an image is given", None),
        ("day = 2026-01-01", "1: day: there is no such field", None),
        ('"replicas" = "2"', "1: replicas: expected int, got str", None),
        ('text = """\n[x]\n"""\nreplcias = 1', "1: text: there is no such field", None),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, message: str, hint: str | None) -> None:
    found, found_hint = refused(text)

    assert found.startswith(f"cannot use paas.toml:{message}")
    assert hint is None or found_hint == hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("name: a\nnamepsace: b", "2: namepsace: there is no such field", "did you mean namespace?"),
        ("deploy:\n  replicas: many", "2: deploy.replicas: expected int, got str", None),
        ("deploy:\n  replicas: 101", "2: deploy.replicas: expected int <= 100", None),
        ("deploy:\n  strategy: recreate", "2: deploy.strategy: ", None),
        ("networking:\n  health_check:\n    path: health", "3: networking.health_check.path: ", None),
        ("networking:\n  health_check:\n    interval: soon", "3: networking.health_check.interval: ", None),
        ("name: a\nname: b", "2: 'name' is there twice", None),
        ("a: [", "1: ", None),
        ("name: !!int ''", "1: '' is not of the type", None),
        ("name: !!bool maybe", "1: 'maybe' is not of the type", None),
        ("- a\n- b", "1: it must hold keys such as `name: shop`", None),
        ("name: !!python/object:os.system x", "1: values of the type", None),
        ("? [a]\n: b", "1: a key must be a word", None),
        ("--- a\n--- b", "2: ", None),
        ("deploy:\n  max_runtime_secs: .inf", "2: deploy.max_runtime_secs: inf is no number", None),
        ("deploy:\n  env: {PORT: 1}", "2: cannot set the variable PORT", None),
    ],
)
def test_what_is_wrong_in_yaml_is_said_with_its_line(text: str, message: str, hint: str | None) -> None:
    found, found_hint = refused(text, "zectre.yaml")

    assert found.startswith(f"cannot use zectre.yaml:{message}"), found
    assert hint is None or found_hint == hint


def test_aliases_do_not_multiply() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    assert refused("\n".join(lines), "zectre.yaml")[0].endswith("it holds too much")
    assert refused("&a [*a]", "zectre.yaml")[0].endswith("it holds too much")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_depth_is_bounded_in_yaml(opening: str) -> None:
    refused(opening * 400, "zectre.yaml")


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "[" * 500 + "]" * 500, f"[{'a.' * 5000}a]"])
def test_depth_is_bounded_in_toml(text: str) -> None:
    refused(text)


def test_long_text_is_refused() -> None:
    assert "characters" in refused("#" * 70_000)[0]


def test_folder_is_read_by_the_first_name_that_is_there(tmp_path: Path) -> None:
    assert of_folder(tmp_path) is None

    (tmp_path / "zectre.yaml").write_text("name: two\nbuild:\n  source: a.tish\n")
    (tmp_path / "package.json").write_text(json.dumps({"name": "x"}))
    second = of_folder(tmp_path)
    (tmp_path / "package.json").write_text(json.dumps({"tish": {"source": "b.tish"}}))
    without_build = of_folder(tmp_path)
    (tmp_path / "paas.toml").write_text('name = "one"')
    first = of_folder(tmp_path)

    assert second is not None
    assert without_build is not None
    assert first is not None
    assert (first.name, second.name, second.build.recipe) == ("one", "two", "tish")
    assert without_build.build == BuildSection()
    (tmp_path / "paas.toml").write_bytes(b"\xff")
    with pytest.raises(BadManifest, match="UTF-8"):
        of_folder(tmp_path)


def test_request_wins_over_the_manifest() -> None:
    said = BuildSection(recipe="node", commands=("npm ci",), start="node a.js", args={"A": "1", "B": "2"})

    asked = said.under(BuildOptions(start="node b.js", args={"B": "3"}))

    assert (asked.recipe, asked.commands, asked.start) == ("node", ("npm ci",), "node b.js")
    assert asked.args == {"A": "1", "B": "3"}
    assert said.under(BuildOptions(recipe="go")) == BuildOptions(recipe="go")


KEYS = st.sampled_from(
    [
        "name",
        "env",
        "build",
        "networking",
        "port",
        "volumes",
        "replicas",
        "a.b",
        "x y",
        "",
        "é",
        "idle",
        "args",
    ]
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(), st.datetimes()
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
PIECES = [
    "[",
    "]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\n",
    '"',
    '"""',
    "'",
    "'''",
    "#",
    "\\",
    " ",
    ": ",
    "- ",
    "&a ",
    "*a",
]
PIECES += [
    "!!int ",
    "? ",
    "|",
    "%",
    "name",
    "env",
    "volumes",
    "port",
    "1",
    "1e999",
    "nan",
    "0x_",
    "1:99",
    "\r\n",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=25).map("".join) | st.text()


@given(TEXTS, st.sampled_from(["paas.toml", "zectre.yaml"]))
def test_any_text_is_read_or_refused(text: str, file_name: str) -> None:
    with contextlib.suppress(BadManifest):
        assert read(text, file_name).file_name == file_name


@settings(max_examples=50)
@given(st.dictionaries(KEYS, TREES, max_size=4), st.sampled_from(["paas.toml", "zectre.yaml"]))
def test_any_document_is_read_or_refused(tree: dict[str, object], file_name: str) -> None:
    text = toml_of(tree) if file_name == "paas.toml" else json.dumps(tree, default=str)
    with contextlib.suppress(BadManifest):
        assert read(text, file_name).file_name == file_name


@settings(max_examples=50)
@given(st.dictionaries(KEYS, TREES, max_size=4))
def test_line_of_each_key_of_toml_is_found(tree: dict[str, object]) -> None:
    text = toml_of(tree)
    try:
        document = read_toml(text, "paas.toml")
    except BadManifest:
        return

    for path in paths_of(tomllib.loads(text)):
        line = text.splitlines()[document.lines[path] - 1]
        assert path[-1].isdigit() or toml_key(path[-1]) in line, (path, line)


def paths_of(value: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        found += [each for key, inner in value.items() for each in paths_of(inner, (*path, key))]
    if isinstance(value, list):
        found += [each for at, inner in enumerate(value) for each in paths_of(inner, (*path, str(at)))]
    return found


def toml_of(tree: dict[str, object]) -> str:
    """Write TOML in all its ways: tables by header, arrays of tables, and what is inline."""
    plain = {key: value for key, value in tree.items() if not isinstance(value, dict)}
    lines = [f"{toml_key(key)} = {inline(value)}  # [not.a.table]" for key, value in plain.items()]
    for key, value in tree.items():
        if isinstance(value, dict):
            lines.append(f"\n[ {toml_key(key)} ]")
            lines += [f"{toml_key(name)}={inline(inner)}" for name, inner in value.items()]
            lines += [f"[[ {toml_key(key)}.of.{toml_key(key)} ]]", 'text = """\n[x]\\"""" # b'] * 2
    return "\n".join(lines)


def toml_key(key: str) -> str:
    return key if key.isascii() and key.isalpha() else json.dumps(key)


def inline(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_key(key)} = {inline(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[\n" + ",\n".join(map(inline, value)) + "\n]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) or value is None:
        return json.dumps(value or "")
    if isinstance(value, int | float):
        return str(value)
    return str(value).replace(" ", "T")
