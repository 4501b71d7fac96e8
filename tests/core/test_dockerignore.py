"""What a .dockerignore leaves out, by the words of Docker's documentation."""

import pytest

from paas.core.dockerignore import Dockerignore, names_of


@pytest.mark.parametrize(
    ("text", "left_out", "kept"),
    [
        ("temp", ["temp", "temp/a", "temp/a/b"], ["a/temp", "temperature"]),
        ("/temp", ["temp"], ["a/temp"]),
        ("temp/", ["temp", "temp/a"], ["a/temp"]),
        ("*/temp*", ["a/temp", "a/temporary.txt", "a/temp/b"], ["temp", "a/b/temp"]),
        ("temp?", ["tempa"], ["temp", "tempab", "temp/"]),
        ("**/*.go", ["a.go", "a/b.go", "a/b/c.go"], ["a.goo"]),
        ("docs/**/draft", ["docs/draft", "docs/a/b/draft"], ["draft", "other/docs/draft"]),
        ("docs/**", ["docs/a", "docs/a/b"], ["docs", "doc"]),
        ("[ab].txt", ["a.txt", "b.txt"], ["c.txt"]),
        ("[^ab].txt", ["c.txt"], ["a.txt"]),
        (r"a\*b", ["a*b"], ["axb"]),
        ("a.b(c)$", ["a.b(c)$"], ["axb(c)$"]),
        ("*.md\n!README.md", ["a.md"], ["README.md"]),
        ("*.md\n!README*.md\nREADME-secret.md", ["a.md", "README-secret.md"], ["README.md"]),
        ("# temp\n\n  spaced  ", ["spaced"], ["# temp", "temp"]),
        ("\ufefffirst", ["first"], []),
        ("a/../b", ["b"], ["a"]),
        ("folder\n!folder/kept", ["folder", "folder/a"], ["folder/kept", "folder/kept/a"]),
        ("*", ["a", "a/b"], []),
        (".", [], ["a"]),
    ],
)
def test_patterns_leave_out_what_they_say(text: str, left_out: list[str], kept: list[str]) -> None:
    ignore = Dockerignore.parse(text)

    assert [path for path in left_out if not ignore.leaves_out(path)] == []
    assert [path for path in kept if ignore.leaves_out(path)] == []


def test_what_the_builder_needs_is_kept_whatever_the_file_says() -> None:
    ignore = Dockerignore.parse("**", needed=frozenset({"docker/Dockerfile"}))

    assert not ignore.leaves_out("docker/Dockerfile")
    assert not ignore.leaves_out(".dockerignore")
    assert ignore.leaves_out("docker/other")
    assert ignore.may_keep_below("docker")
    assert not ignore.may_keep_below("src")


@pytest.mark.parametrize("text", ["fine\n!", "[a", "[b-a]"])
def test_a_pattern_that_is_none_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ValueError, match=f"line {len(text.splitlines())}"):
        Dockerignore.parse(text)


def test_a_dockerfile_may_have_an_ignore_file_of_its_own() -> None:
    assert names_of("docker/web.Dockerfile") == ("docker/web.Dockerfile.dockerignore", ".dockerignore")
