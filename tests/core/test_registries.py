"""What a registry is called, however it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.core.errors import Invalid
from paas.core.registries import normal_host


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("Docker.IO", "docker.io"),
        ("ghcr.io", "ghcr.io"),
        (" GHCR.io/owner/image ", "ghcr.io"),
        ("registry.example:5000", "registry.example:5000"),
        ("http://registry.example:5000/v2/", "registry.example:5000"),
        ("registry:5000", "registry:5000"),
        ("localhost", "localhost"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("[::1]:5000", "[::1]:5000"),
        ("registry-1.docker.io", "registry-1.docker.io"),
    ],
)
def test_a_host_has_one_form(written: str, host: str) -> None:
    assert normal_host(written) == host


@pytest.mark.parametrize(
    "written",
    [
        "",
        "/",
        ".",
        "-a.example",
        "a..example",
        "a b.example",
        "user@ghcr.io",
        "ghcr.io:",
        "ghcr.io:http",
        "ghcr.io:123456",
        "ghcr.io\n.example",
        "ghcr.io?x",
        "ä.example",
        "a." * 128 + "io",
        "::1",
        "ftp://a.b",
    ],
)
def test_what_is_no_host_is_refused(written: str) -> None:
    with pytest.raises(Invalid, match="cannot use") as raised:
        normal_host(written)

    assert raised.value.field == "host"


def test_a_password_in_the_host_is_not_repeated() -> None:
    with pytest.raises(Invalid, match=r"cannot use 'ghcr\.io'") as raised:
        normal_host("https://ann:secret@ghcr.io")

    assert "secret" not in raised.value.message


def test_a_bare_word_is_refused_as_no_image_could_mean_it() -> None:
    with pytest.raises(Invalid, match=r"a folder of docker\.io") as raised:
        normal_host("registry")

    assert "registry:5000" in str(raised.value.hint)


@given(st.text())
def test_any_text_is_a_host_or_refused_and_a_host_stays_as_it_is(text: str) -> None:
    try:
        host = normal_host(text)
    except Invalid:
        return
    assert normal_host(host) == host
