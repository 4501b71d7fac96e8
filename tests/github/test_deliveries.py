"""What deliveries say, and that nobody but who knows the secret can say it."""

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.core.errors import BadRequest
from paas.github.deliveries import (
    LeftAlone,
    Proposed,
    Pushed,
    Settled,
    document_of,
    is_signed,
    read,
    repositories_of,
)

COMMIT = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
REPOSITORY = {
    "clone_url": "https://github.com/Owner/Name.git",
    "html_url": "https://github.com/Owner/Name",
    "ssh_url": "git@github.com:Owner/Name.git",
}


def push(**fields: object) -> bytes:
    return json.dumps(
        {"ref": "refs/heads/main", "after": COMMIT, "deleted": False, "repository": REPOSITORY} | fields
    ).encode()


def pull_request(
    action: str, *, state: str = "open", head_repository: object = REPOSITORY, commit: str = COMMIT
) -> bytes:
    head = {"ref": "feature", "sha": commit, "repo": head_repository}
    return json.dumps(
        {
            "action": action,
            "number": 7,
            "pull_request": {"state": state, "head": head, "base": {"repo": REPOSITORY}},
        }
    ).encode()


def test_a_push_names_its_branch_and_last_commit() -> None:
    assert read("push", push()) == Pushed(branch="main", commit=COMMIT, is_skipped=False)
    assert read("push", push(ref="refs/heads/feature/x")) == Pushed(
        branch="feature/x", commit=COMMIT, is_skipped=False
    )


@pytest.mark.parametrize("message", ["[skip ci] words", "Words\n\n[CI SKIP]", "[skip deploy]"])
def test_a_push_may_ask_to_be_left_alone(message: str) -> None:
    found = read("push", push(head_commit={"message": message}))

    assert isinstance(found, Pushed)
    assert found.is_skipped


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"ref": "refs/tags/v1"}, "tags"),
        ({"deleted": True, "after": "0" * 40}, "deleted"),
        ({"ref": "refs/notes/x"}, "no branch"),
    ],
)
def test_tags_and_deletions_are_left_alone(fields: dict[str, object], reason: str) -> None:
    found = read("push", push(**fields))

    assert isinstance(found, LeftAlone)
    assert reason in found.reason


@pytest.mark.parametrize("action", ["opened", "reopened", "synchronize"])
def test_a_pull_request_names_its_last_commit(action: str) -> None:
    assert read("pull_request", pull_request(action)) == Proposed(
        number=7, branch="feature", commit=COMMIT, is_foreign=False, is_update=action == "synchronize"
    )


def test_a_pull_request_of_another_repository_is_foreign() -> None:
    fork = {name: url.replace("Owner", "stranger") for name, url in REPOSITORY.items()}

    for head_repository in (fork, None, {}):
        found = read("pull_request", pull_request("opened", head_repository=head_repository))
        assert isinstance(found, Proposed)
        assert found.is_foreign


def test_a_closed_pull_request_is_settled_and_other_actions_are_left_alone() -> None:
    assert read("pull_request", pull_request("closed", state="closed")) == Settled(number=7)
    for body in (pull_request("labeled"), pull_request("synchronize", state="closed")):
        assert isinstance(read("pull_request", body), LeftAlone)


def test_pings_and_unknown_events_are_left_alone() -> None:
    for event in ("ping", "star", "no such event"):
        assert isinstance(read(event, b"{}"), LeftAlone)


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ("push", b""),
        ("push", b"[]"),
        ("push", b'{"ref": 3, "after": "x"}'),
        ("push", push(after="--upload-pack=id")),
        ("push", push(after=COMMIT + "\n")),
        ("pull_request", pull_request("opened", commit="HEAD")),
        ("star", b"{"),
        ("star", b"\xff"),
        ("push", b"[" * 100_000),
    ],
)
def test_what_github_would_not_write_is_refused(event: str, body: bytes) -> None:
    with pytest.raises(BadRequest):
        read(event, body)


def test_a_delivery_is_about_a_repository_by_all_its_addresses() -> None:
    assert repositories_of(push()) == {"github.com/owner/name"}
    assert repositories_of(b'{"zen": "x"}') == frozenset()
    assert repositories_of(b"{" * 100_000) == frozenset()
    assert repositories_of(b"\xff") == frozenset()


def test_a_form_holds_the_same_document() -> None:
    form = urlencode({"payload": push().decode()}).encode()

    assert document_of(form, "application/x-www-form-urlencoded") == push()
    assert document_of(push(), "application/json") == push()
    for broken in (b"a=1&b=2", b"other=1", b"\xff"):
        assert repositories_of(document_of(broken, "application/x-www-form-urlencoded")) == frozenset()


def test_a_signature_is_githubs() -> None:
    # The example of https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    assert is_signed(b"Hello, World!", "It's a Secret to Everybody", signature)
    assert not is_signed(b"Hello, World?", "It's a Secret to Everybody", signature)
    assert not is_signed(b"Hello, World!", "It's a secret to Everybody", signature)
    assert not is_signed(b"Hello, World!", "It's a Secret to Everybody", signature.upper())


@given(st.binary(max_size=200), st.text(max_size=20), st.text(max_size=80))
def test_no_other_signature_is_taken(body: bytes, secret: str, signature: str) -> None:
    assert not is_signed(body, secret, signature)


@given(st.sampled_from(["push", "pull_request", "ping"]), st.binary(max_size=200))
def test_any_body_is_read_or_refused(event: str, body: bytes) -> None:
    repositories_of(body)
    try:
        read(event, body)
    except BadRequest:
        return
