"""What a delivery of GitHub's says: about which repository, and what follows from it. Pure.

Fields are read as far as they matter; https://docs.github.com/webhooks/webhook-events-and-payloads has all.
"""

import hashlib
import hmac
import re
from typing import Annotated
from urllib.parse import parse_qs

import msgspec

from paas.core.errors import BadRequest
from paas.core.records import dataclass
from paas.core.repositories import key_of

SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")  # SHA-1, or SHA-256
LARGEST_NUMBER = 2**53  # of a pull request
BRANCHES, TAGS = "refs/heads/", "refs/tags/"
UPDATED = "synchronize"
BUILT_ACTIONS = frozenset({"opened", "reopened", UPDATED})
# What people write into a commit's message to have it left alone: GitHub's own words, and one more.
SKIPS = ("[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]", "[skip deploy]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A branch has new commits; `commit` is the last."""

    branch: str
    commit: str
    is_skipped: bool  # its message asks to be left alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A pull request was opened, or has new commits; `commit` is the last."""

    number: int
    branch: str
    commit: str
    is_foreign: bool  # its commits are in another repository: a fork
    is_update: bool  # of one that was opened before


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A pull request was closed, merged or not."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftAlone:
    """Nothing follows from it."""

    reason: str


News = Pushed | Proposed | Settled | LeftAlone


class _Repository(msgspec.Struct, kw_only=True):
    clone_url: str | None = None
    html_url: str | None = None
    ssh_url: str | None = None

    @property
    def keys(self) -> frozenset[str]:
        keys = (key_of(url) for url in (self.clone_url, self.html_url, self.ssh_url) if url is not None)
        return frozenset(key for key in keys if key is not None)


class _About(msgspec.Struct, kw_only=True):
    repository: _Repository | None = None


class _Commit(msgspec.Struct, kw_only=True):
    message: str = ""


class _Push(msgspec.Struct, kw_only=True):
    ref: str
    after: str
    deleted: bool = False
    head_commit: _Commit | None = None


class _Head(msgspec.Struct, kw_only=True):
    ref: str
    sha: str
    repo: _Repository | None = None  # null once its repository was deleted


class _Base(msgspec.Struct, kw_only=True):
    repo: _Repository


class _PullRequest(msgspec.Struct, kw_only=True):
    head: _Head
    base: _Base
    state: str = "open"


class _PullRequestEvent(msgspec.Struct, kw_only=True):
    action: str
    number: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_NUMBER)]
    pull_request: _PullRequest


def is_signed(body: bytes, secret: str, signature: str) -> bool:
    """Say whether a body as it came was signed with the secret (X-Hub-Signature-256), in constant time."""
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"sha256={expected}".encode(), signature.encode())


def document_of(body: bytes, media_type: str) -> bytes:
    """Take the JSON out of a body, which may have come as a form. What is no form gives nothing."""
    if media_type != "application/x-www-form-urlencoded":
        return body
    try:
        fields = parse_qs(body.decode(), max_num_fields=1)
    except ValueError:
        return b""
    return fields.get("payload", [""])[0].encode()


def repositories_of(document: bytes) -> frozenset[str]:
    """Name the repository that a delivery is about by its keys, before anybody has vouched for it.

    None for deliveries of an organization or an app, and for what cannot be read.
    """
    try:
        about = msgspec.json.decode(document, type=_About)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return frozenset()
    return frozenset() if about.repository is None else about.repository.keys


def read(event: str, document: bytes) -> News:
    """Say what follows from a delivery. Raises BadRequest for one that is not as GitHub writes it."""
    try:
        if event == "push":
            return _pushed(msgspec.json.decode(document, type=_Push))
        if event == "pull_request":
            return _proposed(msgspec.json.decode(document, type=_PullRequestEvent))
        msgspec.json.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(
            f"cannot read the delivery: {error}",
            code="MALFORMED_DELIVERY",
            hint="send what GitHub sends, as application/json or as a form",
        ) from error
    if event == "ping":
        return LeftAlone(reason="a ping: the hook works")
    return LeftAlone(reason=f"{event} events are left alone")


def _pushed(push: _Push) -> News:
    if push.ref.startswith(TAGS):
        return LeftAlone(reason="tags are left alone")
    if not push.ref.startswith(BRANCHES):
        return LeftAlone(reason=f"{push.ref} is no branch")
    branch = push.ref.removeprefix(BRANCHES)
    if push.deleted:
        return LeftAlone(reason=f"the branch {branch} was deleted")
    message = "" if push.head_commit is None else push.head_commit.message.lower()
    return Pushed(
        branch=branch, commit=_commit(push.after), is_skipped=any(word in message for word in SKIPS)
    )


def _proposed(event: _PullRequestEvent) -> News:
    proposal = event.pull_request
    if event.action == "closed":
        return Settled(number=event.number)
    if event.action not in BUILT_ACTIONS:
        return LeftAlone(reason=f"that a pull request was {event.action} is left alone")
    if proposal.state != "open":
        return LeftAlone(reason=f"pull request {event.number} is {proposal.state}")
    head, base = proposal.head, proposal.base.repo
    return Proposed(
        number=event.number,
        branch=head.ref,
        commit=_commit(head.sha),
        is_foreign=head.repo is None or not head.repo.keys & base.keys,
        is_update=event.action == UPDATED,
    )


def _commit(text: str) -> str:
    if COMMIT.fullmatch(text) is None:
        raise BadRequest(
            f"cannot read the delivery: {text!r} is not the id of a commit", code="MALFORMED_DELIVERY"
        )
    return text
