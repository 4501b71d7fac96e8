"""The table by which the kind of a source is known, and how that kind becomes a program."""

from collections.abc import Mapping

from paas.core.records import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRow:
    """One kind of source: how it is known, built and started. Commands are run by /bin/sh in its folder."""

    name: str
    files: tuple[str, ...]  # patterns such as "*.cabal"; one that is there is enough
    build: tuple[str, ...] = ()  # commands, one after the other; the first that fails ends the build
    start: str = ""  # of `web`; empty: found by looking, for the languages that we know
    lockfiles: tuple[str, ...] = ()  # while their contents are the same, a build finds the cache of the last
    cache: tuple[str, ...] = ()  # folders that are kept for the next build; "~/" is the build's own home
    needs: Mapping[str, str] = field(default_factory=dict)  # programs of the build, and what installs each
