"""init: a paas.toml from what is found in a folder. Asks no agent."""

import json
from pathlib import Path

import click

from paas.cli import origins, output, packing
from paas.cli.problems import Problem
from paas.cli.session import Session, verb
from paas.core.builds import BuildOptions, Recipe
from paas.core.errors import BuildFailed
from paas.manifest import NAMES

NAME, *OTHER_NAMES = NAMES
OWN_FOLDER = ".paas/"
ALL_KEYS = "# What `paas deploy` makes of this folder. docs/manifest.md explains every key."
UNKNOWN = (
    "# Nothing here tells what it is. Say how it is built and started, where the agent has no recipe for it:",
    "# [build]",
    '# commands = ["make"]',
    '# start = "./server --port $PORT"',
)


@click.command("init")
@click.argument("folder", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--name", "app_name", help="The app.  [default: after the folder]")
@click.option("--force", is_flag=True, help="Write it although there is one.")
@verb
def init_command(session: Session, folder: Path, app_name: str | None, *, force: bool) -> None:
    """Write a paas.toml for FOLDER, from what is found in it. Then `paas deploy` there needs no option."""
    if not force:
        _refuse_existing(folder)
    name = packing.app_name(folder) if app_name is None else app_name
    recipe = _found_in(folder)
    text = _text(name, recipe)
    origins.checked(text, NAME)
    try:
        (folder / NAME).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Problem(f"cannot write {folder / NAME}: {error.strerror or error}") from error
    if session.as_json:
        found = {"path": str(folder / NAME), "name": name, "recipe": recipe and recipe.name}
        output.document(json.dumps(found).encode())
        return
    what = "nothing found that tells what it is" if recipe is None else f"a source of the kind {recipe.name}"
    output.step(f"Wrote {folder / NAME}: {name}, {what}")


def _refuse_existing(folder: Path) -> None:
    if (folder / NAME).exists():
        raise Problem(f"cannot write {folder / NAME}: it is there", hint="--force writes it anew")
    for other in OTHER_NAMES:
        if (folder / other).exists():
            raise Problem(
                f"cannot write {folder / NAME}: it would take the place of {other}",
                hint="`paas deploy` reads that as well; --force writes it all the same",
            )


def _found_in(folder: Path) -> Recipe | None:
    from paas.builders.recipes import RecipeTable  # noqa: PLC0415 - `paas init --help` needs none

    try:
        return RecipeTable().detect(folder, BuildOptions())
    except BuildFailed:
        return None


def _text(name: str, recipe: Recipe | None) -> str:
    lines = [ALL_KEYS, f"name = {json.dumps(name)}", '# environment = "production"', ""]
    if recipe is None:
        lines += UNKNOWN
    elif recipe.name in origins.AS_THEY_ARE:
        lines += ["# It runs as it is; nothing is built."]
    else:
        lines += ["[build]", f"recipe = {json.dumps(recipe.name)}"]
        if recipe.start and OWN_FOLDER not in recipe.start:  # what builds bring is theirs to start
            lines += [f"# start = {json.dumps(recipe.start)}"]
    lines += ["", "# [env]", '# LOG_LEVEL = "info"', "", "# [networking]", '# health_path = "/health"', ""]
    return "\n".join(lines)
