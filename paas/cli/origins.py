"""Where that comes from which `deploy` deploys: an image, a program, a source, a repository."""

from pathlib import Path

import click

from paas.cli import building, packing, wishes
from paas.cli.building import Repository, Wish
from paas.cli.deploy_options import DeployOptions
from paas.cli.problems import Problem
from paas.core.builds import DOCKERFILE as DOCKERFILE_RECIPE
from paas.core.errors import BadManifest, BuildFailed, Invalid
from paas.core.records import dataclass
from paas.core.sources import check_path, check_ref, check_url
from paas.manifest import BuildSection, Manifest, of_folder, read

AS_THEY_ARE = frozenset({"procfile", "executable"})  # recipes that have nothing to build


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What was asked for: one of the four, and the manifest that goes with it."""

    manifest: Manifest | None = None
    image: str | None = None
    program: Path | None = None  # sent as it is
    source: Wish | None = None  # sent, and built by the agent
    repository: Repository | None = None  # fetched, built and deployed by the agent


def choose(path: Path | None, options: DeployOptions) -> Origin:
    """Say what is deployed. Raises UsageError and Problem."""
    ways = [path, options["image"], options["git"], options["zip_file"]]
    if sum(way is not None for way in ways) > 1:
        raise click.UsageError("give PATH, --image, --git or --zip, one of them")
    origin = _git(options) if options["git"] is not None else _local(path, options)
    if origin.source is None and origin.repository is None and wishes.build_option(options):
        raise click.UsageError(f"{wishes.build_option(options)} is for what is built, such as a Dockerfile")
    return origin


def default_name(origin: Origin) -> str:
    """Name the app after what it comes from. Raises Problem."""
    if origin.repository is not None:
        return packing.valid_name(origin.repository.url.rstrip("/").rpartition("/")[2].removesuffix(".git"))
    if origin.image is not None:  # without registry, tag and digest
        return packing.valid_name(origin.image.partition("@")[0].rpartition("/")[2].partition(":")[0])
    place = origin.program if origin.source is None else origin.source.place
    return packing.app_name(place or Path())


def manifest_of(folder: Path) -> Manifest | None:
    """Read the manifest of a folder. Raises Problem."""
    try:
        return of_folder(folder)
    except BadManifest as error:
        raise Problem(error.message, hint=error.hint, code=error.code) from error


def checked(text: str, file_name: str) -> None:
    """Raise Problem for the text of a manifest that could not be read."""
    try:
        read(text, file_name)
    except BadManifest as error:
        raise Problem(error.message, hint=error.hint, code=error.code) from error


def is_ready(folder: Path) -> bool:
    """Say whether a folder is a program already, as far as can be told here."""
    from paas.builders.recipes import RecipeTable  # noqa: PLC0415 - only folders need it
    from paas.core.builds import BuildOptions  # noqa: PLC0415 - likewise

    try:
        return RecipeTable().detect(folder, BuildOptions()).name in AS_THEY_ARE
    except BuildFailed:  # the agent may know more recipes, and says what was looked for
        return False


def _git(options: DeployOptions) -> Origin:
    wishes.refuse_with_git(options)
    try:  # before an app is made for it
        check_url(options["git"] or "", field="--git")
        check_ref(options["ref"] or "main", field="--ref")
        check_path(options["git_path"] or "", field="--path")
    except Invalid as error:
        raise Problem(error.message, hint=error.hint, code=error.code) from error
    return Origin(
        repository=Repository(
            url=options["git"] or "",
            ref=options["ref"],
            path=options["git_path"] or "",
            dockerfile=options["dockerfile"],
            target=options["target"],
            args=options["build_arg"],
            no_cache=options["no_cache"],
        )
    )


def _local(path: Path | None, options: DeployOptions) -> Origin:
    wishes.refuse_without_git(options)
    folder = path if path is not None else Path()
    manifest = manifest_of(folder) if folder.is_dir() else None
    if options["zip_file"] is not None:
        return Origin(manifest=manifest, source=_wish(options["zip_file"], None, BuildSection(), options))
    image = options["image"] or _image_of(manifest, options)
    if image is not None:
        return Origin(manifest=manifest, image=image)
    if path is None and manifest is None:
        raise click.UsageError(
            "give PATH, --image, --git or --zip, one of them; or write a paas.toml with `paas init`"
        )
    return _of_path(folder, manifest, options)


def _of_path(path: Path, manifest: Manifest | None, options: DeployOptions) -> Origin:
    if options["native"] or not path.is_dir():
        return Origin(manifest=manifest, program=path)
    section = BuildSection() if manifest is None else manifest.build
    dockerfile = _dockerfile(path, section, options)
    if dockerfile is None and section == BuildSection() and is_ready(path):
        return Origin(manifest=manifest, program=path)
    return Origin(manifest=manifest, source=_wish(path, dockerfile, section, options))


def _wish(place: Path, dockerfile: str | None, section: BuildSection, options: DeployOptions) -> Wish:
    return Wish(
        place=place,
        dockerfile=dockerfile,
        target=options["target"] or section.target,
        args=tuple({**section.args, **dict(options["build_arg"])}.items()),
        no_cache=options["no_cache"],
    )


def _dockerfile(folder: Path, section: BuildSection, options: DeployOptions) -> str | None:
    """Find the Dockerfile that is built of a folder; None: something else is, or nothing."""
    if options["dockerfile"] is not None:
        if not (folder / options["dockerfile"]).is_file():
            raise click.UsageError(f"there is no {options['dockerfile']} in {folder}")
        return options["dockerfile"]
    if section.path or section.recipe not in {None, DOCKERFILE_RECIPE}:
        return None
    name = section.dockerfile or building.DOCKERFILE
    return name if (folder / name).is_file() else None


def _image_of(manifest: Manifest | None, options: DeployOptions) -> str | None:
    if manifest is None or options["native"] or wishes.build_option(options):
        return None
    image = manifest.spec.get("image")
    return image if isinstance(image, str) else None
