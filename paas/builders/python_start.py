"""How a Python program is started, when nobody says it: by the framework that it makes its app with."""

import re
from collections.abc import Iterator
from pathlib import Path

from paas.core.records import dataclass

LARGEST_SOURCE = 256 * 1024  # bytes that are looked at of one file
MOST_MODULES = 64
ADDRESS = '--host "$HOST" --port "$PORT"'
BIND = '--bind "$HOST:$PORT"'

_LIKELY = ("wsgi", "asgi", "app", "main", "server", "application", "run", "api", "web", "index")
_PAGES = ("streamlit_app.py", "app.py", "main.py")
_SCRIPTS = ("main.py", "app.py", "server.py", "run.py", "bot.py", "__main__.py")
_APP = re.compile(
    r"^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)*(FastAPI|Starlette|Litestar|Quart|Flask)\(", re.MULTILINE
)
_FACTORY = re.compile(r"^def (create_app|make_app)\(", re.MULTILINE)
_IMPORTED = re.compile(
    r"^(?:from\s+\S+\s+import\s+.*\b(app|application)\b|(app|application)\s*=)", re.MULTILINE
)
_REQUIREMENT = re.compile(r"^[\s\"']*([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)
_QUOTED = re.compile(r"[\"']([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A command, and what the build has to do for it besides."""

    command: str
    build: tuple[str, ...] = ()


def python_start(tree: Path) -> Start | None:
    """Find how it is started; None if there is nothing that we know. Blocks on the disk."""
    wanted = _dependencies(tree)
    if (tree / "manage.py").is_file():
        return _django(tree, wanted)
    if "datasette" in wanted:
        databases = " ." if any(tree.glob("*.db")) else ""
        return Start(command=f"datasette serve{databases} {ADDRESS}")
    if "streamlit" in wanted:
        script = next((name for name in _PAGES if (tree / name).is_file()), "")
        if script:
            options = '--server.address "$HOST" --server.port "$PORT" --server.headless true'
            return Start(command=f"python3 -m streamlit run {script} {options}")
    return _app(tree, wanted) or _script(tree)


def _django(tree: Path, wanted: set[str]) -> Start:
    module = next((path.parent.name for path in sorted(tree.glob("*/wsgi.py"))), None)
    if module is not None and "gunicorn" in wanted:
        return Start(command=f"gunicorn {BIND} {module}.wsgi")
    return Start(command='python3 manage.py runserver --noreload "$HOST:$PORT"')


def _app(tree: Path, wanted: set[str]) -> Start | None:
    """Look for the module that makes the app, the likely ones first."""
    imported = None
    for module, text in _modules(tree):
        if found := _APP.search(text):
            return _served(module, found[1], found[2], wanted)
        if _FACTORY.search(text) and "flask" in wanted:
            return _flask(f"{module}:create_app()" if "def create_app(" in text else module, module, wanted)
        if imported is None and module in {"wsgi", "asgi"} and (match := _IMPORTED.search(text)):
            imported = (module, match[1] or match[2])
    if imported is not None:
        module, name = imported
        return _served(module, name, "Flask" if module == "wsgi" else "Starlette", wanted)
    return None


def _served(module: str, name: str, framework: str, wanted: set[str]) -> Start:
    if framework == "Flask":
        return _flask(f"{module}:{name}", module, wanted)
    if "hypercorn" in wanted and "uvicorn" not in wanted:
        return Start(command=f"python3 -m hypercorn {BIND} {module}:{name}")
    return Start(
        command=f"python3 -m uvicorn {module}:{name} {ADDRESS}",
        build=("pip_install_missing uvicorn",),
    )


def _flask(target: str, module: str, wanted: set[str]) -> Start:
    if "gunicorn" in wanted:  # which may be among what is there for some only
        return Start(
            command=f"python3 -m gunicorn {BIND} '{target}'", build=("pip_install_missing gunicorn",)
        )
    if "waitress" in wanted and "(" not in target:
        return Start(command=f'python3 -m waitress --listen="$HOST:$PORT" {target}')
    return Start(command=f"python3 -m flask --app {target if '(' not in target else module} run {ADDRESS}")


def _script(tree: Path) -> Start | None:
    name = next((name for name in _SCRIPTS if (tree / name).is_file()), None)
    return None if name is None else Start(command=f"python3 {name}")


def _modules(tree: Path) -> Iterator[tuple[str, str]]:
    """Give modules that may make the app, with their text: files at the root, then those further down."""
    paths = [path for pattern in ("*.py", "*/*.py", "src/*/*.py") for path in sorted(tree.glob(pattern))]
    fit = [path for path in paths if path.parts[len(tree.parts)] not in {"tests", "test", "docs", "examples"}]
    fit.sort(key=lambda path: (len(path.parts), _rank(path)))
    for path in fit[:MOST_MODULES]:
        parts = path.relative_to(tree).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        names = parts[1:] if parts[:1] == ("src",) else parts
        if names and all(name.isidentifier() for name in names):
            yield ".".join(names), _text(path)


def _rank(path: Path) -> tuple[int, str]:
    likely = _LIKELY.index(path.stem) if path.stem in _LIKELY else len(_LIKELY)
    return (likely, path.name)


def _dependencies(tree: Path) -> set[str]:
    """Name all that its files speak of as a package, itself included."""
    found: set[str] = set()
    for path in (*tree.glob("requirements*.txt"), *tree.glob("requirements/*.txt")):
        found |= {name.lower() for name in _REQUIREMENT.findall(_text(path))}
    for name in ("pyproject.toml", "setup.py", "setup.cfg", "Pipfile"):
        text = _text(tree / name)
        found |= {word.lower() for word in _QUOTED.findall(text)}
        if name in {"setup.cfg", "Pipfile"}:
            found |= {word.lower() for word in _REQUIREMENT.findall(text)}
    return found


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_SOURCE).decode("utf-8", "replace")
    except OSError:
        return ""
