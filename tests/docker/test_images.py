"""How names of images are read."""

import pytest

from paas.docker.images import fixed_name, qualified, registry_of, repository_of

DIGEST = "sha256:" + 64 * "a"


@pytest.mark.parametrize(
    ("image", "registry", "whole"),
    [
        ("nginx", "docker.io", "docker.io/library/nginx"),
        ("nginx:1.25", "docker.io", "docker.io/library/nginx:1.25"),
        ("grafana/grafana", "docker.io", "docker.io/grafana/grafana"),
        ("docker.io/library/nginx", "docker.io", "docker.io/library/nginx"),
        ("ghcr.io/owner/name:tag", "ghcr.io", "ghcr.io/owner/name:tag"),
        ("localhost/web", "localhost", "localhost/web"),
        ("127.0.0.1:5000/web", "127.0.0.1:5000", "127.0.0.1:5000/web"),
        ("registry:5000/a/b@" + DIGEST, "registry:5000", "registry:5000/a/b@" + DIGEST),
    ],
)
def test_the_registry_is_found_as_the_engine_finds_it(image: str, registry: str, whole: str) -> None:
    assert registry_of(image) == registry
    assert qualified(image) == whole


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("nginx", "nginx"),
        ("nginx:1", "nginx"),
        ("127.0.0.1:5000/web", "127.0.0.1:5000/web"),
        ("127.0.0.1:5000/web:1@" + DIGEST, "127.0.0.1:5000/web"),
    ],
)
def test_tag_and_digest_are_no_part_of_the_repository(image: str, repository: str) -> None:
    assert repository_of(image) == repository


def test_the_digest_of_the_asked_repository_is_taken() -> None:
    found = {"Id": "sha256:1", "RepoDigests": ["other@" + DIGEST, "nginx@" + DIGEST]}

    assert fixed_name("docker.io/library/nginx:1", found) == "nginx@" + DIGEST


def test_an_image_without_a_digest_of_that_repository_is_named_by_its_id() -> None:
    assert fixed_name("nginx", {"Id": "sha256:1", "RepoDigests": ["other@" + DIGEST]}) == "sha256:1"
    assert fixed_name("nginx", {"Id": "sha256:1", "RepoDigests": None}) == "sha256:1"
