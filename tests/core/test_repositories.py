"""Addresses of repositories: which may be fetched from, and which mean the same."""

import pytest

from paas.core.errors import Invalid
from paas.core.repositories import check_url, full_name, key_of


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/owner/name",
        "https://GitHub.com/owner/name.git",
        "https://git.example:8443/group/sub/name.git",
        "http://127.0.0.1:3080/owner/name.git",
        "http://localhost/owner/name",
        "http://[::1]:80/owner/name",
    ],
)
def test_an_address_that_may_be_fetched_from_is_taken_as_it_is(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "owner/name",
        "git@github.com:owner/name.git",
        "ssh://git@github.com/owner/name",
        "http://github.com/owner/name",
        "http://127.0.0.1.example/owner/name",
        "file:///etc/passwd/x",
        "ext::sh -c id",
        "https://github.com/owner",
        "https://github.com/owner/name?x=1",
        "https://github.com/owner/name#x",
        "https://github.com:port/owner/name",
        "https:///owner/name",
        "https://github.com/owner/na me",
        "https://github.com/owner/n\u00e4me",
        "https://github.com/owner/" + "n" * 2048,
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(Invalid) as raised:
        check_url(url)

    assert raised.value.field == "repository_url"


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    for url in ("https://x:tok-123@github.com/owner/name", "ssh://tok-123@github.com/owner/name"):
        with pytest.raises(Invalid) as raised:
            check_url(url)

        assert "tok-123" not in f"{raised.value.message} {raised.value.hint}"


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/Owner/Name",
        "https://github.com:443/owner/name.git",
        "https://GITHUB.COM/owner/name/",
        "git@github.com:owner/name.git",
        "ssh://git@github.com/owner/name.git",
        "git://github.com/owner/name.git",
    ],
)
def test_the_same_repository_has_one_key(address: str) -> None:
    assert key_of(address) == "github.com/owner/name"


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("http://127.0.0.1:3080/private/owner/name.git", "127.0.0.1:3080/private/owner/name"),
        ("https://github.com:8443/owner/name", "github.com:8443/owner/name"),
        ("https://github.com/owner", None),
        ("https://github.com:port/owner/name", None),
        ("C:\\owner\\name", None),
        ("owner/name", None),
        ("", None),
    ],
)
def test_a_key_names_host_port_and_path(address: str, key: str | None) -> None:
    assert key_of(address) == key


def test_the_name_is_what_the_address_ends_with() -> None:
    assert full_name("http://127.0.0.1:3080/private/Owner/Name.git") == "Owner/Name"
