"""What a manifest says, whichever file it was."""

from collections.abc import Mapping

from paas.core.builds import BuildOptions
from paas.core.records import dataclass, field, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSection:
    """How the folder is built; what is None or empty is left to what is found in it."""

    recipe: str | None = None  # by name
    commands: tuple[str, ...] = ()  # in the place of the recipe's own
    start: str | None = None  # likewise
    path: str = ""  # the folder that is built, inside that of the manifest; empty: that one
    dockerfile: str | None = None  # its path in the folder that is built
    target: str | None = None  # the stage of the Dockerfile to end with
    args: Mapping[str, str] = field(default_factory=dict)  # of the Dockerfile
    cache: tuple[str, ...] = ()  # folders that the next build finds again

    def under(self, options: BuildOptions) -> BuildOptions:
        """Lay what was asked for over what the manifest says."""
        # A request for another kind of build leaves nothing of the one that is written down.
        if options.recipe is not None and options.recipe != self.recipe:
            return options
        return replace(
            options,
            recipe=options.recipe or self.recipe,
            commands=options.commands or self.commands,
            start=options.start or self.start,
            cache=options.cache or self.cache,
            dockerfile=options.dockerfile or self.dockerfile,
            target=options.target or self.target,
            args={**self.args, **options.args},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a folder says of its app, of how it is built, and of its deployments."""

    file_name: str
    name: str | None = None
    namespace: str | None = None
    environment: str | None = None
    build: BuildSection = field(default_factory=BuildSection)
    spec: Mapping[str, object] = field(default_factory=dict)  # fields of a deployment as given, without env
    env: Mapping[str, str] = field(default_factory=dict)
