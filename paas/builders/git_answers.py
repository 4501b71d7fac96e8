"""What a Git server answered: which names it has, what is wanted of them, and what went wrong."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from paas.core.errors import BuildFailed
from paas.core.records import dataclass

ABBREVIATED = re.compile(r"[0-9a-f]{4,39}")
FULL = re.compile(r"[0-9a-f]{40}")
HEAD = "HEAD"
BRANCHES = "refs/heads/"
TAGS = "refs/tags/"
SHOWN_BYTES = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is fetched: by a name of the server's or a full id; None: all history, to look in."""

    refspec: str | None
    title: str  # for people: "branch main"


def parse_names(text: str) -> Mapping[str, str]:
    """Read the list of names that `git ls-remote` prints: each with the id it stands for."""
    pairs = (line.partition("\t") for line in text.splitlines())
    return {name: commit for commit, _, name in pairs if FULL.fullmatch(commit)}


def choose(names: Mapping[str, str], ref: str | None) -> Wanted:
    """Find what a reference means: a branch, else a tag, else a commit. Raises BuildFailed."""
    if not names:
        raise BuildFailed("the repository is empty")
    if ref is None:
        if HEAD in names:
            return Wanted(refspec=HEAD, title="its default branch")
        raise BuildFailed("its default branch is not there", hint=_suggestion("", names))
    for prefix, kind in ((BRANCHES, "branch "), (TAGS, "tag "), ("", "")):
        if f"{prefix}{ref}" in names and (prefix or ref.startswith("refs/")):
            return Wanted(refspec=f"{prefix}{ref}", title=f"{kind}{ref}")
    commit = ref.lower()
    if FULL.fullmatch(commit):
        return Wanted(refspec=commit, title=f"commit {commit}")
    if ABBREVIATED.fullmatch(commit):
        found = {full for full in names.values() if full.startswith(commit)}
        return Wanted(refspec=found.pop() if len(found) == 1 else None, title=f"commit {commit}")
    raise BuildFailed(f"it has no branch, tag or commit {ref}", hint=_suggestion(ref, names))


def explain(errors: str, *, has_token: bool) -> BuildFailed:
    """Turn what git said, at its end, into one sentence for people."""
    for sign, cause, hint in _SIGNS:
        if re.search(sign, errors):
            return BuildFailed(cause, hint=hint)
    if re.search(r"Authentication failed|could not read (Username|Password)|error: 40[13]", errors):
        if has_token:
            return BuildFailed("the server refuses the token", hint="give one that may read this repository")
        return BuildFailed("the server asks who is there", hint="give a token that may read this repository")
    if re.search(r"repository .* not found|error: 404", errors):
        hint = None if has_token else "a private one needs a token"
        return BuildFailed("there is no such repository, or it may not be seen", hint=hint)
    return BuildFailed(_last_words(errors) or "git does not say why")


_SIGNS: Sequence[tuple[str, str, str | None]] = (
    (r"Could not resolve host", "its host has no address", "check the name, and this machine's DNS"),
    (r"Connection refused|Failed to connect", "nothing answers there", None),
    (r"SSL certificate|certificate verif|SSL certificate problem", "its certificate cannot be trusted", None),
    (r"transport '\w+' not allowed", "the server leads to another protocol", None),
    (r"not valid: is this a git repository|unable to update url base", "what answers is no Git server", None),
    (r"No space left on device", "the disk is full", None),
    (r"[Oo]ut of memory", "it needs too much memory", None),
)


def is_forbidden(errors: str) -> bool:
    """Say whether the server gives no commit by its id, unless a name stands for it."""
    return bool(re.search(r"unadvertised object|not advertised|want \w+ not valid", errors))


def is_missing(errors: str) -> bool:
    """Say whether the server has no commit with the id."""
    return "not our ref" in errors


def _last_words(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))] or lines
    words = re.sub(r"^(fatal|error|remote): *", "", told[-1]) if told else ""
    return "".join(each for each in words if each.isprintable())[:SHOWN_BYTES]


def _suggestion(ref: str, names: Mapping[str, str]) -> str | None:
    short = [
        name.removeprefix(prefix)
        for name in names
        for prefix in (BRANCHES, TAGS)
        if name.startswith(prefix) and not name.endswith("^{}")
    ]
    near = get_close_matches(ref, short[:1000], n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"it has {', '.join(short[:5])}" if short else None
