"""Find what kind a source is, and how a program is made of it."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from paas.builders.archive import PROCFILE as PROCFILE_NAME
from paas.builders.archive import PROCFILE_LIMIT, programs_in
from paas.builders.node_start import node_start
from paas.builders.procfile import commands_of
from paas.builders.python_start import python_start
from paas.builders.recipe_table import CUSTOM, EXECUTABLE, PROCFILE, ROWS, STATIC
from paas.core.builds import DOCKERFILE, BuildOptions, Recipe
from paas.core.errors import BuildFailed
from paas.core.recipes import RecipeRow
from paas.core.records import replace
from paas.core.spec import WEB

DOCKERFILE_NAME = "Dockerfile"
HINT = "add a Procfile with a line such as `web: ./server --port $PORT`"
_WITHOUT_ROW = (DOCKERFILE, PROCFILE, EXECUTABLE)


class RecipeTable:
    """The built-in rows, with an owner's before them; one of the same name takes a built-in's place."""

    def __init__(self, owners: Sequence[RecipeRow] = ()) -> None:
        theirs = {row.name for row in owners}
        self._rows = (*owners, *(row for row in ROWS if row.name not in theirs))

    def detect(self, tree: Path, options: BuildOptions) -> Recipe:
        """See `core.ports.SourceBuilder`. Blocks on the disk."""
        if options.dockerfile is not None:
            return Recipe(name=DOCKERFILE)
        start_is_given = options.start is not None or _says_web(tree)
        if options.recipe is not None:
            found = self._named(tree, options.recipe, start_is_given=start_is_given)
        else:
            found = self._found(tree, options, start_is_given=start_is_given)
        return replace(
            found,
            build=options.commands or found.build,
            start=options.start or found.start,
            cache=options.cache or found.cache,
        )

    def needs(self, recipe: Recipe) -> Mapping[str, str]:
        """Say which programs a recipe's own commands call, and what installs each."""
        row = next((row for row in self._rows if row.name == recipe.name), None)
        return {} if row is None or not set(row.build) <= set(recipe.build) else row.needs

    def _named(self, tree: Path, name: str, *, start_is_given: bool) -> Recipe:
        row = next((row for row in self._rows if row.name == name), None)
        if row is not None:
            return _recipe(tree, row, start_is_given=start_is_given)
        if name in _WITHOUT_ROW:
            return Recipe(name=name)
        known = [*(row.name for row in self._rows), *_WITHOUT_ROW]
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        raise BuildFailed(f"cannot build: there is no recipe called {name!r}", hint=hint)

    def _found(self, tree: Path, options: BuildOptions, *, start_is_given: bool) -> Recipe:
        if (tree / DOCKERFILE_NAME).is_file():
            return Recipe(name=DOCKERFILE)
        row = next((row for row in self._rows if _fits(tree, row)), None)
        if row is not None and not (start_is_given and row.name == STATIC):
            return _recipe(tree, row, start_is_given=start_is_given)
        if (tree / PROCFILE_NAME).is_file():
            return Recipe(name=PROCFILE)
        if options.commands or options.start:
            return Recipe(name=CUSTOM)
        if len(programs_in(tree)) == 1:
            return Recipe(name=EXECUTABLE)
        raise self._nothing_found()

    def _nothing_found(self) -> BuildFailed:
        looked_for = dict.fromkeys(row.files[0] for row in self._rows)
        names = ", ".join((DOCKERFILE_NAME, PROCFILE_NAME, *looked_for))
        return BuildFailed(
            "cannot build: nothing in the folder tells what it is; looked for"
            f" {names} and a single executable file",
            hint=HINT,
        )


def _says_web(tree: Path) -> bool:
    """Say whether a Procfile tells how it is started; its dependencies are installed all the same."""
    try:
        with (tree / PROCFILE_NAME).open("rb") as file:
            return WEB in commands_of(file.read(PROCFILE_LIMIT).decode("utf-8", "replace"))
    except OSError:
        return False


def _fits(tree: Path, row: RecipeRow) -> bool:
    return any(path.is_file() for pattern in row.files for path in tree.glob(pattern))


def _recipe(tree: Path, row: RecipeRow, *, start_is_given: bool = False) -> Recipe:
    """Apply a row to a tree. Raises BuildFailed where neither says how it is started."""
    recipe = Recipe(
        name=row.name,
        build=row.build,
        start=row.start or None,
        cache=row.cache,
        lockfiles=row.lockfiles,
    )
    if start_is_given:
        return replace(recipe, start=None)
    if recipe.start is not None:
        return recipe
    if row.name.startswith("python"):
        start = python_start(tree)
        if start is not None:
            first, *others = row.build  # what it adds has to be there before all is made ready
            return replace(recipe, start=start.command, build=(first, *start.build, *others))
    elif row.name.startswith("node") and (command := node_start(tree)) is not None:
        return replace(recipe, start=command)
    raise BuildFailed(
        f"cannot build: it is of the kind {row.name}, but nothing tells how to start it", hint=HINT
    )
