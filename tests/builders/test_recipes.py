"""What kind a source is, and what is made of that."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from paas.builders.recipe_table import SERVE
from paas.builders.recipes import RecipeTable
from paas.core.builds import DOCKERFILE, BuildOptions, Recipe
from paas.core.errors import BuildFailed
from paas.core.recipes import RecipeRow

FLASK = "from flask import Flask\napp = Flask(__name__)\n"
FASTAPI = "from fastapi import FastAPI\n\napp: FastAPI = FastAPI(title='x')\n"
EXPRESS = '{"scripts": {"start": "node index.js"}, "main": "index.js"}'


def detect(tree: Path, files: Mapping[str, str], options: BuildOptions | None = None) -> Recipe:
    for name, content in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return RecipeTable().detect(tree, options or BuildOptions())


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"Dockerfile": "", "Procfile": "web: ./x", "go.mod": ""}, DOCKERFILE),
        ({"Procfile": "web: ./x", "notes.txt": ""}, "procfile"),
        ({"Procfile": "web: ./x", "index.html": ""}, "procfile"),
        ({"uv.lock": "", "pyproject.toml": "", "main.py": ""}, "python-uv"),
        ({"requirements.txt": "", "pyproject.toml": "", "main.py": ""}, "python"),
        ({"pyproject.toml": "", "package.json": "{}", "main.py": ""}, "python-project"),
        ({"package.json": EXPRESS, "package-lock.json": "", "go.mod": ""}, "node"),
        ({"package.json": EXPRESS, "pnpm-lock.yaml": ""}, "node-pnpm"),
        ({"package.json": EXPRESS, "yarn.lock": ""}, "node-yarn"),
        ({"package.json": EXPRESS, "index.html": ""}, "node-unlocked"),
        ({"go.mod": "", "index.html": ""}, "go"),
        ({"src/main.tish": ""}, "tish"),
        ({"public/index.html": ""}, "static"),
        ({"run": "#!/bin/sh\n"}, "executable"),
    ],
)
def test_the_first_kind_that_fits_wins(tmp_path: Path, files: Mapping[str, str], name: str) -> None:
    assert detect(tmp_path, files).name == name


@pytest.mark.parametrize(
    ("files", "start"),
    [
        (
            {"requirements.txt": "flask\n", "app.py": FLASK},
            'python3 -m flask --app app:app run --host "$HOST" --port "$PORT"',
        ),
        (
            {"requirements.txt": "Flask>=3\ngunicorn==23\n", "app.py": FLASK},
            "python3 -m gunicorn --bind \"$HOST:$PORT\" 'app:app'",
        ),
        (
            {"requirements.txt": "flask\ngunicorn\n", "wsgi.py": "from shop import app\n", "shop.py": ""},
            "python3 -m gunicorn --bind \"$HOST:$PORT\" 'wsgi:app'",
        ),
        (
            {
                "pyproject.toml": '[project]\ndependencies = ["flask"]\n',
                "flaskr/__init__.py": "def create_app():\n",
            },
            'python3 -m flask --app flaskr run --host "$HOST" --port "$PORT"',
        ),
        (
            {"requirements.txt": "fastapi\n", "main.py": FASTAPI},
            'python3 -m uvicorn main:app --host "$HOST" --port "$PORT"',
        ),
        (
            {"requirements.txt": "fastapi\n", "src/shop/main.py": FASTAPI, "tests/app.py": FASTAPI},
            'python3 -m uvicorn shop.main:app --host "$HOST" --port "$PORT"',
        ),
        (
            {"setup.py": 'setup(name="datasette", packages=["datasette"])', "datasette/app.py": ""},
            'datasette serve --host "$HOST" --port "$PORT"',
        ),
        (
            {"requirements.txt": "django\ngunicorn\n", "manage.py": "", "shop/wsgi.py": ""},
            'gunicorn --bind "$HOST:$PORT" shop.wsgi',
        ),
        ({"requirements.txt": "", "server.py": "print()"}, "python3 server.py"),
        ({"package.json": EXPRESS}, "node index.js"),
        ({"package.json": '{"scripts": {"start": "x", "prestart": "y"}}'}, "npm start"),
        ({"package.json": '{"main": "lib/app"}', "lib/app.js": ""}, "node lib/app.js"),
        ({"package.json": '{"main": "../../etc/passwd"}', "server.js": ""}, "node server.js"),
        ({"package.json": '{"scripts": {"build": "vite build"}}'}, SERVE),
        ({"dist/index.html": ""}, SERVE),
        ({"go.mod": ""}, "./.paas/program"),
    ],
)
def test_the_start_is_found_by_looking(tmp_path: Path, files: Mapping[str, str], start: str) -> None:
    assert detect(tmp_path, files).start == start


def test_an_asgi_app_gets_the_server_that_its_requirements_forget(tmp_path: Path) -> None:
    recipe = detect(tmp_path, {"requirements.txt": "fastapi\n", "main.py": FASTAPI})

    assert recipe.build == ("pip_install -r requirements.txt", "pip_install_missing uvicorn", "python_ready")


def test_a_server_that_a_project_only_may_want_is_installed(tmp_path: Path) -> None:
    project = '[project]\ndependencies = ["flask"]\n[project.optional-dependencies]\nmain = ["gunicorn"]\n'

    recipe = detect(tmp_path, {"pyproject.toml": project, "app.py": FLASK})

    assert recipe.build == ("pip_install_project", "pip_install_missing gunicorn", "python_ready")
    assert (recipe.start or "").startswith("python3 -m gunicorn ")


def test_a_procfile_beside_requirements_starts_what_they_install(tmp_path: Path) -> None:
    recipe = detect(tmp_path, {"Procfile": "web: gunicorn app:app\n", "requirements.txt": "gunicorn\n"})

    assert recipe.name == "python"
    assert recipe.start is None
    assert recipe.build[0] == "pip_install -r requirements.txt"


def test_a_procfile_without_web_leaves_the_start_to_be_found(tmp_path: Path) -> None:
    recipe = detect(tmp_path, {"Procfile": "worker: ./work\n", "package.json": EXPRESS})

    assert recipe.start == "node index.js"


def test_what_is_asked_for_goes_over_what_is_found(tmp_path: Path) -> None:
    options = BuildOptions(recipe="node", commands=("make",), start="./made", cache=("parts",))

    recipe = detect(tmp_path, {"go.mod": ""}, options)

    assert recipe == Recipe(
        name="node",
        build=("make",),
        start="./made",
        cache=("parts",),
        lockfiles=("package-lock.json", "npm-shrinkwrap.json"),
    )


def test_commands_and_a_start_need_no_kind(tmp_path: Path) -> None:
    recipe = detect(tmp_path, {"main.c": ""}, BuildOptions(commands=("make",), start="./server"))

    assert recipe == Recipe(name="custom", build=("make",), start="./server")


def test_an_owners_row_goes_before_the_built_in_ones_and_replaces_its_namesake(tmp_path: Path) -> None:
    (tmp_path / "go.mod").touch()
    (tmp_path / "app.cabal").touch()
    rows = (
        RecipeRow(name="haskell", files=("*.cabal",), build=("cabal build",), start="./app"),
        RecipeRow(name="go", files=("never",)),
    )

    recipe = RecipeTable(rows).detect(tmp_path, BuildOptions())

    assert (recipe.name, recipe.build, recipe.start) == ("haskell", ("cabal build",), "./app")
    with pytest.raises(BuildFailed, match="kind go, but nothing tells how to start it"):
        RecipeTable(rows).detect(tmp_path, BuildOptions(recipe="go"))


def test_nothing_found_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"looked for Dockerfile, Procfile, .*go\.mod") as raised:
        detect(tmp_path, {"notes.txt": ""})

    assert raised.value.hint is not None
    assert "Procfile" in raised.value.hint


def test_an_unknown_recipe_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="no recipe called 'nod'") as raised:
        detect(tmp_path, {}, BuildOptions(recipe="nod"))

    assert raised.value.hint == "did you mean node?"
