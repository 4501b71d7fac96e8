"""Which registry a name means, as Docker reads it."""

import re

from paas.core.errors import Invalid

DOCKER_HUB = "docker.io"
LONGEST_HOST = 255
_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_HOST = re.compile(rf"({_LABEL}(\.{_LABEL})*|\[[0-9a-f:]+\])(:[0-9]{{1,5}})?")


def normal_host(text: str) -> str:
    """Write a registry's host in its one form: lower case, with its port, Docker Hub as docker.io.

    A scheme and a path are dropped, as `docker login` does, so https://index.docker.io/v1/ is docker.io.
    Raises Invalid for what no image name could mean.
    """
    host = re.sub("^https?://", "", text.strip().lower()).partition("/")[0]
    if len(host) > LONGEST_HOST or _HOST.fullmatch(host) is None:
        shown = text.rpartition("@")[2][:LONGEST_HOST]  # what stands before may be a password
        raise Invalid(
            f"cannot use {shown!r} as a registry: it is no host name, with or without a port",
            field="host",
            hint="it looks like ghcr.io or registry.example:5000",
        )
    if not re.search("[.:]", host) and host != "localhost":
        raise Invalid(
            f"cannot use {host} as a registry: in an image's name it would be a folder of {DOCKER_HUB}",
            field="host",
            hint=f"add its port or domain, such as {host}:5000",
        )
    return DOCKER_HUB if host == f"index.{DOCKER_HUB}" else host
