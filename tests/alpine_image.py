"""The image that a project of the registries begins with, where its own cannot be fetched."""

import contextlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.debian_image import layer_of
from tests.docker_engine import Image, image_names, load_image, remove_images

NAME = "alpine:3.4"
PACKAGES = ("nginx", "nginx-common")
# Stands in for the package manager of that image, which could fetch nothing: the files of a package are
# there already, and what is not there cannot be added.
APK = """#!/bin/sh
[ "$1" = add ] || exit 1
for name; do
    case "$name" in add | -*) continue ;; esac
    command -v "$name" || exit 1
    mkdir -p "/var/log/$name" "/var/lib/$name"
done
"""


@contextlib.contextmanager
def alpine(socket: Path) -> Iterator[None]:
    """Give an engine that has none an image of this name, with Debian's nginx to be added to it."""
    if image_names(socket, NAME):
        yield
        return
    config = {"Cmd": ["/bin/sh"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}
    load_image(socket, Image(name=NAME, config=config, layer=_layer()))
    try:
        yield
    finally:
        remove_images(socket, NAME)


def _layer() -> bytes:
    stream = io.BytesIO(layer_of(*PACKAGES))
    with tarfile.open(fileobj=stream, mode="a") as tar:
        entry = tarfile.TarInfo("usr/sbin/apk")
        entry.size, entry.mode = len(APK), 0o755
        tar.addfile(entry, io.BytesIO(APK.encode()))
    return stream.getvalue()
