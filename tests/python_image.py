"""The image that a project of the registries begins with, where its own cannot be fetched."""

import contextlib
import io
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests import real_sources
from tests.debian_image import layer_of
from tests.docker_engine import Image, image_names, load_image, remove_images

NAME = "python:3.9-slim"
PYTHON_VERSION = "3.11"  # Debian's
PACKAGES = (
    "libc6",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "python3-distutils",
    "python3-minimal",
    "python3-pip",
    "python3-setuptools",
    "python3-wheel",
    "python3.11-minimal",
)
WHEELS = "wheels"
ENVIRONMENT = [
    "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PIP_NO_INDEX=1",  # a build reaches no registry here
    f"PIP_FIND_LINKS=/{WHEELS}",
    "PIP_BREAK_SYSTEM_PACKAGES=1",  # Debian marks its Python as not for pip
]


@contextlib.contextmanager
def python_image(socket: Path, requirements: Path) -> Iterator[None]:
    """Give an engine that has none an image of this name: Debian's Python, with what pip is to install.

    The files that pip would fetch lie in a folder of the image; all that it does with them it does itself.
    """
    if image_names(socket, NAME):
        yield
        return
    config = {"Cmd": ["python3"], "Env": ENVIRONMENT}
    load_image(socket, Image(name=NAME, config=config, layer=_layer(requirements)))
    try:
        yield
    finally:
        remove_images(socket, NAME)


def _layer(requirements: Path) -> bytes:
    stream = io.BytesIO(layer_of(*PACKAGES))
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=stream, mode="a") as tar:
        wheels = real_sources.wheels(requirements, PYTHON_VERSION, Path(folder))
        tar.add(wheels, arcname=WHEELS)
    return stream.getvalue()
