"""How a Node program is started: what `npm start` would run, without the time that npm itself takes."""

import json
import shlex
from pathlib import Path, PurePosixPath

from paas.builders.recipe_table import SERVE

LARGEST_PACKAGE_FILE = 1024 * 1024
_MAINS = ("server.js", "index.js", "app.js", "main.js", "server.mjs", "index.mjs")


def node_start(tree: Path) -> str | None:
    """Find how it is started; None if there is nothing that we know. Blocks on the disk."""
    package = _package(tree)
    scripts = package.get("scripts")
    scripts = scripts if isinstance(scripts, dict) else {}
    start = scripts.get("start")
    if isinstance(start, str) and start.strip():
        around = {"prestart", "poststart"} & scripts.keys()
        return "npm start" if around else start.strip()
    main = package.get("main")
    for name in (*_inside(main), *_MAINS):
        for each in (name, f"{name}.js", f"{name}/index.js"):
            if (tree / each).is_file():
                return f"node {shlex.quote(each)}"
    return SERVE if "build" in scripts else None  # pages, made by the build


def _inside(main: object) -> tuple[str, ...]:
    """Take what a package calls its main file, unless it is none of the package's."""
    if not isinstance(main, str) or "\0" in main:
        return ()
    path = PurePosixPath(main)
    return () if path.is_absolute() or ".." in path.parts or not path.parts else (str(path),)


def _package(tree: Path) -> dict[str, object]:
    try:
        with (tree / "package.json").open("rb") as file:
            package = json.loads(file.read(LARGEST_PACKAGE_FILE))
    except (OSError, ValueError, RecursionError):  # npm says better than we what is wrong with it
        return {}
    return package if isinstance(package, dict) else {}
