"""What a folder says of itself: paas.toml, or zectre.yaml as Zectre's tools write it."""

from paas.manifest.model import BuildSection, Manifest
from paas.manifest.reading import NAMES, of_folder, read

__all__ = ["NAMES", "BuildSection", "Manifest", "of_folder", "read"]
